"""What the daily report says, in English and Chinese; the style sheet shows one of them."""

from __future__ import annotations

from tailorbird.evaluation import words

WORDS: dict[str, tuple[str, str]] = {
    **{name: words.WORDS[name] for name in ("skip", "made_by")},
    "title": ("Opinion of the day", "舆情日报"),
    "hero": ("negative posts of {n}", "条负面信息（当日共 {n} 条）"),
    "as_usual": (
        "On the four same weekdays before it were {usual} a day.",
        "前四周的同一星期日均 {usual} 条。",
    ),
    "no_usual": (
        "There is nothing to compare with yet: the four weeks before have no posts.",
        "前四周没有数据，暂无可比。",
    ),
    "quiet": ("No alert was open on this day.", "当日没有警报。"),
    "share": ("Negative", "负面占比"),
    "n_alerts": ("Alerts", "警报"),
    "n_stories": ("Told again by others", "转载"),
    "n_failing": ("Sources that fail", "异常来源"),
    "alerts": ("Alerts", "警报"),
    "alerts_text": (
        "What rose beyond what chance explains at these hours and this volume; what belongs "
        "together stands together.",
        "扣除时段与总量之后，升幅超出偶然波动的内容；同一起因的警报排在一起。",
    ),
    "hours": ("Negative posts", "负面信息"),
    "in_rise": ("in the rise", "上升期"),
    "usual": ("usual", "平时"),
    "words": ("Key words", "关键词"),
    "named": ("Also named", "同时提及"),
    "acknowledged": ("seen by {name}", "{name} 已确认"),
    "together": ("Same cause", "同一起因"),
    "topics": ("Topics", "话题"),
    "topics_text": (
        "Bars are the negative posts of the last 28 days; the last one is this day.",
        "柱形为近 28 天的负面信息数，最后一根为当日。",
    ),
    "entities": ("Names", "主体"),
    "entities_text": (
        "Posts that speak negatively of a watched name, by day as above.",
        "对所关注主体持负面态度的信息，柱形含义同上。",
    ),
    "name": ("Name", "名称"),
    "posts": ("Posts", "条数"),
    "negatives": ("Negative", "负面"),
    "a_day": ("Usual a day", "平时日均"),
    "days": ("28 days", "近 28 天"),
    "sources": ("Sources", "来源"),
    "sources_text": (
        "Those that could not be read the last time: what they publish is missing here.",
        "最近一次未能读取的来源，其内容未计入本页。",
    ),
    "since": ("last read {time}", "上次读取 {time}"),
    "never": ("never read", "从未读取"),
    "notice": ("Notice", "关注"),
    "warning": ("Warning", "预警"),
    "critical": ("Critical", "严重"),
}
