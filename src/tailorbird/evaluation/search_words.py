"""What the page of a search says, in English and Chinese; the frame's words are the report's."""

from __future__ import annotations

from tailorbird.evaluation.words import WORDS

SEARCH_WORDS: dict[str, tuple[str, str]] = WORDS | {
    "search_title": ("Hyper-parameter search", "超参数搜索"),
    "search_hero": (
        "{metric} on validation: trial {trial} of {n}",
        "验证集 {metric}：第 {trial} 次试验（共 {n} 次）",
    ),
    "search_none": ("No trial has come to its end yet.", "尚无完成的试验。"),
    "search_honest": (
        "The best of many trials on the same validation rows looks a little better than it is. "
        "The test rows were not looked at; they tell.",
        "在同一批验证数据上多次试验取最优，结果会略显乐观。测试集未被使用，最终以它为准。",
    ),
    "went": ("Best so far, by trial", "截至各次试验的最优结果"),
    "trial": ("trial", "试验"),
    "n_done": ("Done", "完成"),
    "n_pruned": ("Given up early", "提前放弃"),
    "n_failed": ("Failed", "失败"),
    "time_all": ("Tuning time in all", "微调总用时"),
    "sampler": ("Sampler", "采样器"),
    "pruner": ("Pruner", "剪枝器"),
    "winner": ("Winner", "胜出设置"),
    "winner_text": (
        "What this trial was tuned with. The file holds these and all other settings of the run.",
        "该次试验所用的设置。文件中还包含本次运行的其他全部设置。",
    ),
    "best_loss": ("validation loss", "验证损失"),
    "importance": ("Importance", "重要性"),
    "importance_text": (
        "How much of the difference between good and other trials each setting explains "
        "(PED-ANOVA). Of few trials it is a hint, no more.",
        "各设置对试验好坏差异的解释程度（PED-ANOVA）。试验较少时仅供参考。",
    ),
    "setting": ("Setting", "设置"),
    "share": ("Share", "占比"),
    "slices_of": ("One by one", "逐项查看"),
    "slices_of_text": (
        "Each trial against one setting. Blue came to its end, orange was given up early.",
        "每次试验相对于单项设置的结果。蓝色为完成，橙色为提前放弃。",
    ),
    "together": ("All together", "整体查看"),
    "together_text": (
        "Each line is a trial; the better, the stronger. The thick one won.",
        "每条线是一次试验；结果越好线越深，粗线为胜出者。",
    ),
    "lines": ("Settings and what came of them", "设置与结果"),
    "trials": ("Trials", "全部试验"),
    "trials_text": ("A click on a heading sorts.", "点击表头可重新排序。"),
    "state": ("State", "状态"),
    "state done": ("done", "完成"),
    "state pruned": ("given up", "放弃"),
    "state failed": ("failed", "失败"),
    "same_as": ("as {n}", "同 {n}"),
    "time": ("Time", "用时"),
}
