"""What the report page says, in English and Chinese, and how it writes numbers.

A text is found by its key and put on the page in both languages; the style sheet shows the one
that ``<html lang>`` names, so that the switch needs no second page and no request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

WORDS: dict[str, tuple[str, str]] = {
    # the frame
    "title": ("Evaluation report", "评测报告"),
    "skip": ("Skip to the figures", "跳到正文"),
    "made_by": (
        "Written by Tailorbird {version}. "
        "This page is one file: it loads nothing and sends nothing.",
        "由缝叶莺 Tailorbird {version} 生成。"
        "本页是单个文件：不加载任何外部内容，也不发送任何数据。",
    ),
    "again": (
        "The test split was opened {n} times. Figures after the first look may be too good.",
        "测试集已被打开 {n} 次。第一次之后的结果可能偏乐观。",
    ),
    # the figures
    "hero": ("of {n} unseen texts understood", "的未见文本（共 {n} 条）判断正确"),
    "interval": ("{confidence} interval {low} – {high}", "{confidence} 置信区间 {low} – {high}"),
    "perfect": (
        "No mistake in {n} texts; up to {limit} of new texts may still go wrong.",
        "{n} 条文本无一出错；新文本的错误率仍可能高达 {limit}。",
    ),
    "above": (
        "{points} points above counting words, beyond what chance explains.",
        "比词频基线高 {points} 个百分点，超出偶然波动的范围。",
    ),
    "near": (
        "{points} points above counting words, which chance could explain.",
        "比词频基线高 {points} 个百分点，仍在偶然波动的范围之内。",
    ),
    "equal": ("Exactly as good as counting words.", "与词频基线完全持平。"),
    "below": (
        "{points} points below counting words: the simple baseline is the better choice here.",
        "比词频基线低 {points} 个百分点：此处简单的基线更好。",
    ),
    "this_model": ("This model", "本模型"),
    "tfidf_logreg": ("TF-IDF + logistic regression", "TF-IDF + 逻辑回归"),
    "majority": ("Always the commonest", "总答最多的一类"),
    "accuracy": ("Accuracy", "准确率"),
    "macro_f1": ("Macro-F1", "宏平均 F1"),
    "n_classes": ("Classes", "类别"),
    "train_time": ("Tuned in", "微调用时"),
    "ece": ("Calibration error", "校准误差"),
    "ece_from": ("{before} before the temperature", "温度缩放前 {before}"),
    "loss": ("Log loss", "对数损失"),
    "speed": ("{n} tokens/s", "每秒 {n} 个词元"),
    "n_tuned": ("{n} of {total} parameters tuned", "微调 {n} / {total} 个参数"),
    "rows": ("Rows", "条数"),
    "train": ("Training", "训练集"),
    "validation": ("Validation", "验证集"),
    "test": ("Test", "测试集"),
    "figures": ("All figures", "全部指标"),
    "figures_text": (
        "Validation rows chose the best step, the temperature and the threshold; "
        "the test rows were only measured.",
        "最佳步数、温度与阈值都在验证集上选定；测试集只用于测量。",
    ),
    # learning
    "learning": ("Learning", "学习过程"),
    "learning_text": (
        "Training loss should fall and level off; validation says when to stop.",
        "训练损失应逐渐下降并趋于平稳；何时停止由验证集决定。",
    ),
    "loss_plot": ("Loss, nats", "损失（奈特）"),
    "metric_plot": ("Validation", "验证集指标"),
    "train_loss": ("training", "训练"),
    "validation_loss": ("validation", "验证"),
    "step": ("step", "步"),
    "best_step": ("best: step {n}", "最佳：第 {n} 步"),
    # calibration
    "calibration": ("Confidence", "置信度"),
    "calibration_text": (
        "Of the texts answered with 80% confidence, 80% should be right: dots on the line. "
        "The size of a dot is its share of the texts.",
        "以 80% 置信度作答的文本，应有 80% 答对，即圆点落在对角线上。圆点大小表示文本占比。",
    ),
    "before": ("Before: error {ece}", "缩放前：误差 {ece}"),
    "after": (
        "After temperature {temperature}: error {ece}",
        "温度 {temperature} 缩放后：误差 {ece}",
    ),
    "confidence": ("confidence", "置信度"),
    "share_right": ("right", "正确"),
    # threshold
    "threshold": ("Out of scope", "超出范围"),
    "threshold_text": (
        "Below a confidence of {threshold} the assistant says that it does not know. "
        "That turns away {rate} of the validation texts, all of which were in scope.",
        "置信度低于 {threshold} 时，助手会说“不知道”。"
        "验证集文本都在范围之内，其中 {rate} 会因此被拒答。",
    ),
    "histogram": ("Share of validation texts", "验证文本占比"),
    "other_thresholds": ("At other thresholds", "换用其他阈值"),
    "threshold_axis": ("threshold", "阈值"),
    "kept": ("answered", "作答比例"),
    "right_of_kept": ("right of these", "其中答对"),
    # scope
    "scope": ("Out of scope", "超出范围"),
    "scope_text": (
        "Every text gets a score of how probable it is that it is in scope at all: from how "
        "strongly any class speaks for it, and how near it lies to the training texts. Below "
        "{threshold} the assistant says that it does not know. That turns away {rate} of the "
        "validation texts, all of which were in scope.",
        "每条文本都有一个“属于服务范围”的概率分：依据各类别对它的支持强度，以及它与训练文本的接近程度。"
        "低于 {threshold} 时，助手会说“不知道”。验证集文本都在范围之内，其中 {rate} 会因此被拒答。",
    ),
    "scope_alone": (
        "No row of the logs is labelled as out of scope, so what it would catch of those is not "
        "known here: label some as oos, or name their label in split.out_of_scope.",
        "日志中没有标注为“超出范围”的行，因此无法得知它能拦下多少这类文本："
        "请把一些行标为 oos，或在 split.out_of_scope 中写明其标签。",
    ),
    "scope_rows": (
        "Of the validation texts that are labelled as out of scope it turns away {caught}; the "
        "confidence alone would turn away {confidence}.",
        "标注为超出范围的验证文本中，它会拒答 {caught}；仅凭置信度则为 {confidence}。",
    ),
    "scope_test": (
        "On the test texts, {rate} are turned away.",
        "测试文本中有 {rate} 被拒答。",
    ),
    "scope_test_caught": (
        "Of those labelled as out of scope: {caught}.",
        "其中标注为超出范围的文本：{caught}。",
    ),
    "scope_caught": ("out of scope, turned away", "范围外，被拒答"),
    "scope_false": ("in scope, turned away", "范围内，被误拒"),
    "scope_axis": ("threshold", "阈值"),
    # confusion
    "confusion": ("Confusions", "混淆"),
    "confusion_text": (
        "A row is the true class, a column the answer. Blue is right, orange is wrong; "
        "classes taken for each other stand side by side.",
        "行是真实类别，列是模型的回答。蓝色为正确，橙色为错误；容易混淆的类别排在一起。",
    ),
    "touch": (
        "Point at or tap a cell to read it.",
        "将指针移到（或轻触）方格即可查看。",
    ),
    "answered": ("answered", "模型回答"),
    "truth": ("true class", "真实类别"),
    "pairs": ("Most confused", "最易混淆"),
    "no_pairs": ("No text was taken for another class.", "没有文本被判成别的类别。"),
    "of": ("of", "/"),
    # classes
    "classes": ("Classes", "各类表现"),
    "classes_text": (
        "The weakest first; a click on a heading sorts.",
        "最弱的排在最前；点击表头可重新排序。",
    ),
    "class": ("Class", "类别"),
    "precision": ("Precision", "精确率"),
    "recall": ("Recall", "召回率"),
    "f1": ("F1", "F1"),
    "support": ("Texts", "条数"),
    "slices": ("By language", "按语言"),
    "language": ("Language", "语言"),
    "zh": ("Chinese", "中文"),
    "en": ("English", "英文"),
    # mistakes
    "mistakes": ("Mistakes", "错例"),
    "mistakes_text": (
        "The wrong answers the model was surest of. Some of them may be wrong labels.",
        "模型最有把握却答错的文本。其中有些可能是标注有误。",
    ),
    "taken_for": ("taken for", "被判为"),
    "more": ("{n} more", "其余 {n} 条"),
    # data
    "data": ("Data", "数据"),
    "data_text": (
        "Nothing is dropped without being counted.",
        "每一条被丢弃的数据都有记录。",
    ),
    "n_read": ("Interactions", "交互"),
    "n_unlabelled": ("Without a label", "未标注"),
    "n_rejected": ("Rejected", "拒收"),
    "n_cleaned": ("After cleaning", "清洗后"),
    "cleaning_step": ("Cleaning step", "清洗步骤"),
    "dropped": ("Dropped", "丢弃"),
    "changed": ("Changed", "修改"),
    "step markup": ("Markup", "去除标记"),
    "step unicode": ("Unicode and width", "统一字符与全半角"),
    "step boilerplate": ("Boilerplate", "去除套话"),
    "step whitespace": ("White space", "整理空白"),
    "step personal data": ("Personal data masked", "遮盖个人信息"),
    "step length": ("Too short or too long", "过短或过长"),
    "step duplicates": ("Duplicates", "重复"),
    "step near duplicates": ("Near duplicates", "近似重复"),
    "no_effect": ("Without effect", "无影响"),
    "removed": ("removed", "已删除"),
    "conflicts": ("Texts with more than one label", "标签不一致的文本"),
    "missing": ("Missing values", "缺失值"),
    # the rest
    "decisions": ("Decisions", "自动决定"),
    "decisions_text": (
        "What the program chose by itself, and why.",
        "程序自行做出的选择及其理由。",
    ),
    "settings": ("Settings", "设置"),
    "settings_text": ("What this run was made with.", "本次运行所用的设置。"),
    "machine": ("Machine", "运行环境"),
    "show": ("Show", "展开"),
    "backbone": ("Backbone", "预训练模型"),
    "created": ("Made", "生成时间"),
    "seed": ("Seed", "随机种子"),
    "source": ("Logs", "日志"),
}


def both(
    key: str,
    tag: str = "span",
    *,
    words: Mapping[str, tuple[str, str]] = WORDS,
    **values: Any,
) -> Markup:
    """The text under *key* in both languages, *values* filled in and escaped.

    >>> both("more", n=3)
    Markup('<span class="en" lang="en">3 more</span><span class="zh" lang="zh">其余 3 条</span>')
    """
    english, chinese = (Markup(escape(text)).format(**values) for text in words[key])
    return pair(english, chinese, tag)


def pair(english: str, chinese: str, tag: str = "span") -> Markup:
    """Two texts of which the page shows one; *tag* is ``tspan`` inside a drawing."""
    return Markup('<{0} class="en" lang="en">{1}</{0}><{0} class="zh" lang="zh">{2}</{0}>').format(
        Markup(tag), english, chinese
    )


def breakable(name: str) -> Markup:
    """A label that may be broken after its underscores, dots and slashes.

    >>> breakable("card_arrival <b>")
    Markup('card_<wbr>arrival &lt;b&gt;')
    """
    return Markup(re.sub(r"([_./])(?=\w)", r"\1<wbr>", str(escape(name))))


def moment(time: str) -> str:
    """An ISO 8601 time to the minute.

    >>> moment("2026-03-14T09:26:53+00:00")
    '2026-03-14 09:26 UTC'
    """
    zone = "UTC" if time.endswith(("+00:00", "Z")) else time[19:]
    return f"{time[:10]} {time[11:16]} {zone}".strip()


def percent(share: float | None, n_digits: int = 1) -> str:
    """A share as a percentage; a dash where there is none. 100 is only said of all.

    >>> percent(0.93149), percent(0.99998), percent(1.0), percent(None)
    ('93.1%', '99.998%', '100.0%', '–')
    """
    if share is None:
        return "–"
    while n_digits < 6 and share < 1 and round(share * 100, n_digits) >= 100:
        n_digits += 1
    return f"{share * 100:.{n_digits}f}%"


def count(number: float | None) -> str:
    """A whole number with separators.

    >>> count(22713600)
    '22,713,600'
    """
    return "–" if number is None else f"{number:,.0f}"


def compact(number: float) -> str:
    """A large number in three digits.

    >>> compact(22_713_600), compact(4_096), compact(812)
    ('22.7 M', '4.1 k', '812')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> Markup:
    """A time span as a person says it.

    >>> duration(75).striptags()
    '1 min 15 s1 分 15 秒'
    """
    if seconds < 60:
        short = f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
        return pair(f"{short} s", f"{short} 秒")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return pair(f"{minutes} min {rest} s", f"{minutes} 分 {rest} 秒")
    hours, minutes = divmod(minutes, 60)
    return pair(f"{hours} h {minutes} min", f"{hours} 小时 {minutes} 分")
