"""What the page about users says, in English and Chinese; the style sheet shows one of them."""

from __future__ import annotations

from functools import partial

from tailorbird.evaluation import words

NAMES = {name: f"name_{name}" for name in ("none", "retrieval", "adapter", "both", "gated")}
"""Candidates → keys of WORDS."""

WORDS: dict[str, tuple[str, str]] = {
    **{name: words.WORDS[name] for name in ("skip", "made_by")},
    "title": ("What each user gets, and whether it helps", "每位用户得到什么，是否有帮助"),
    "again": (
        "The test rows were opened {n} times. Figures after the first look may be too good.",
        "测试数据已被打开 {n} 次。第一次之后的结果可能偏乐观。",
    ),
    "name_none": ("Shared assistant", "共享助手"),
    "name_retrieval": ("Own nearest rows", "自己的相近记录"),
    "name_adapter": ("Own adapter", "自己的适配器"),
    "name_both": ("Adapter and own rows", "适配器加自己的记录"),
    "name_gated": ("Each user what wins", "每人取其最优"),
    "mae": ("mean absolute error", "平均绝对误差"),
    "nll": ("negative log-likelihood", "负对数似然"),
    "hero": (
        "of error taken away from {n} users, on their latest rows",
        "：{n} 位用户最新记录上误差的减少",
    ),
    "interval": (
        "{coverage} interval {low} to {high}; users, not rows, are the draws.",
        "{coverage} 置信区间 {low} 至 {high}；抽样单位是用户而非记录。",
    ),
    "totals": ("All users together", "全体用户"),
    "totals_text": (
        "Mean {loss} on the latest rows of every user, which took no part in any choice. Lower is "
        "better.",
        "每位用户最新记录上的{loss}均值，这些记录未参与任何选择。越低越好。",
    ),
    "who": ("Who gets it", "谁得到"),
    "loss": ("Error", "误差"),
    "accuracy": ("Accuracy", "准确率"),
    "n_chosen": ("Users who got it", "得到它的用户"),
    "mean_gain": ("Gain on validation", "验证集增益"),
    "spread": ("Users differ by", "用户间差异"),
    "everyone": ("for everybody", "全体使用"),
    "worse": ("Who is worse off", "谁变差了"),
    "worse_text": (
        "Users whose latest rows say, by more than the interval, that the shared assistant would "
        "have been better: {share} of those with test rows.",
        "最新记录表明（差距超出区间）共享助手本会更好的用户：占有测试记录用户的 {share}。",
    ),
    "nobody_worse": ("Nobody, by more than chance explains.", "没有人变差到超出偶然的程度。"),
    "users": ("User by user", "逐个用户"),
    "users_text": (
        "Gain of what was chosen over the shared assistant, on test rows; right of the line is "
        "better. The bar is the {coverage} interval.",
        "所选方案相对共享助手在测试记录上的增益；线右为更好。横条为 {coverage} 区间。",
    ),
    "user": ("User", "用户"),
    "rows": ("Rows", "记录"),
    "rows_parts": ("train · validation · test", "训练 · 验证 · 测试"),
    "got": ("Gets", "得到"),
    "gain": ("Gain on test", "测试增益"),
    "why": ("Why", "原因"),
    "no_test": ("no test row", "无测试记录"),
    "left_out": ("{n} older rows left out", "另有 {n} 条较早记录未使用"),
    "more": ("{n} more users are in personalise.json.", "其余 {n} 位用户见 personalise.json。"),
    "why_no_validation": (
        "No row to prove anything by ({n} in all): the shared assistant stays.",
        "没有可用于证明的记录（共 {n} 条）：保留共享助手。",
    ),
    "why_unsure": (
        "{candidate} gained {gain} on {n} rows, {believed} when drawn toward all users; that is "
        "{sure} sure, {confidence} is asked for.",
        "{candidate}在 {n} 条记录上增益 {gain}，向全体收缩后为 {believed}；"
        "把握 {sure}，要求 {confidence}。",
    ),
    "why_harms": (
        "Nothing is believed to help: {candidate} does best with {believed}, from {gain} on {n} "
        "rows.",
        "没有方案被认为有帮助：最好的是{candidate}，{n} 条记录上 {gain}，收缩后 {believed}。",
    ),
    "why_begun": (
        "All users together gain most by this, {of_all} a row. {gain} on this user's {n} "
        "validation rows does not say otherwise as surely as is asked for ({confidence}).",
        "全体用户由此获益最多（每条 {of_all}）。该用户 {n} 条验证记录为 {gain}，"
        "不足以按所要求的把握（{confidence}）另作选择。",
    ),
    "why_spared": (
        "All users together gain most by {candidate}; here it lost: {gain} on {n} validation rows.",
        "全体用户由{candidate}获益最多，但在此处有损：{n} 条验证记录为 {gain}。",
    ),
    "why_won": (
        "Gained {gain} on {n} validation rows, {believed} drawn toward all users; {sure} sure.",
        "在 {n} 条验证记录上增益 {gain}，向全体收缩后 {believed}；把握 {sure}。",
    ),
    "why_changed": (
        "It gained {gain} on {n} earlier rows and lost {test} on the {n_test} latest: what this "
        "user wants has changed, or was not to be seen in so few rows.",
        "在较早的 {n} 条上增益 {gain}，在最新 {n_test} 条上为 {test}："
        "用户的偏好变了，或记录太少看不出来。",
    ),
    "why_leaned": (
        "Its own {n} validation rows said {gain}; it was chosen because others gain, {believed} "
        "when drawn toward them. The {n_test} test rows say {test}.",
        "自己的 {n} 条验证记录为 {gain}；因他人受益而被选中，收缩后 {believed}。"
        "{n_test} 条测试记录为 {test}。",
    ),
    "forgotten": ("forgotten", "已遗忘"),
}


both = partial(words.both, words=WORDS)
"""The text under a key in both languages; see `tailorbird.evaluation.words.both`."""
