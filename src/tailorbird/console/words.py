"""Every word the console shows, in both languages; a test holds the two sets of keys equal."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh", "en"]

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "name": "Tailorbird",
        "other_name": "缝叶莺",
        "try": "Try it",
        "report": "Report",
        "users": "Users",
        "api": "API",
        "language": "Language",
        "theme_auto": "Colours: as the system",
        "theme_light": "Colours: light",
        "theme_dark": "Colours: dark",
        "heading": "Say something to your assistant",
        "lead": "It was tuned from your logs. Type what a person would write; it shows what it "
        "understood and what it would answer.",
        "placeholder": "Where is my parcel?",
        "send": "Ask",
        "hint": "Enter sends, Shift + Enter starts a new line",
        "examples": "Or try one of these",
        "intent": "Intent",
        "confidence": "Confidence",
        "in_scope": "In scope",
        "out_of_scope": "Out of scope",
        "out_of_scope_note": "The confidence is below the threshold chosen on validation: better "
        "ask back, or hand over to a person.",
        "answer": "Answer",
        "nearest_answer": "What the nearest intent would answer",
        "no_answer": "This intent has no template in this language.",
        "alternatives": "It could also be",
        "bundle": "bundle",
        "took": "took",
        "history": "Your last tries",
        "history_note": "Only in this tab; gone when you close it.",
        "nothing_yet": "The answer appears here.",
        "empty_title": "No assistant yet",
        "empty_text": "No bundle is live in this workspace. Build one from the sample logs or "
        "from your own; reload this page when it is published.",
        "empty_command": "tailorbird build LOGS",
        "failed": "That did not work",
        "report_heading": "Report of the live bundle",
        "no_report_title": "No report",
        "no_report_text": "The live bundle carries no report.",
        "open_report": "Open in its own tab",
        "users_heading": "What each user gets",
        "no_users_title": "Nobody has anything of their own yet",
        "no_users_text": "An adapter for each user whom it helps, with the proof, comes from:",
        "no_users_command": "tailorbird personalise ROWS",
        "key_heading": "This console needs the API key",
        "key_text": "It is the one the service was started with.",
        "key": "API key",
        "key_send": "Come in",
        "key_wrong": "That is not the key.",
    },
    "zh": {
        "name": "缝叶莺",
        "other_name": "Tailorbird",
        "try": "试一试",
        "report": "报告",
        "users": "用户",
        "api": "接口",
        "language": "语言",
        "theme_auto": "配色：跟随系统",
        "theme_light": "配色：浅色",
        "theme_dark": "配色：深色",
        "heading": "对你的助手说句话",
        "lead": "它由你的日志微调而成。输入用户会说的话，看看它理解成什么、会怎样回答。",
        "placeholder": "我的包裹怎么还没到？",
        "send": "提问",
        "hint": "回车发送，Shift + 回车换行",
        "examples": "或者试试这些",
        "intent": "意图",
        "confidence": "置信度",
        "in_scope": "范围内",
        "out_of_scope": "超出范围",
        "out_of_scope_note": "置信度低于在验证集上选定的阈值：最好追问一句，或转人工。",
        "answer": "回答",
        "nearest_answer": "最接近的意图会这样回答",
        "no_answer": "这个意图没有这种语言的回答模板。",
        "alternatives": "也可能是",
        "bundle": "模型包",
        "took": "用时",
        "history": "最近的尝试",
        "history_note": "只保存在本标签页，关闭即消失。",
        "nothing_yet": "回答会显示在这里。",
        "empty_title": "还没有助手",
        "empty_text": "还没有上线的模型包。用示例日志或自己的日志构建一个，发布后刷新本页。",
        "empty_command": "tailorbird build LOGS",
        "failed": "没有成功",
        "report_heading": "当前模型包的报告",
        "no_report_title": "没有报告",
        "no_report_text": "当前模型包不带报告。",
        "open_report": "在新标签页中打开",
        "users_heading": "每位用户得到什么",
        "no_users_title": "还没有用户拥有自己的助手",
        "no_users_text": "为每位确有帮助的用户生成适配器，并给出证明：",
        "no_users_command": "tailorbird personalise ROWS",
        "key_heading": "打开控制台需要 API 密钥",
        "key_text": "就是启动服务时设置的那个密钥。",
        "key": "API 密钥",
        "key_send": "进入",
        "key_wrong": "密钥不对。",
    },
}

EXAMPLES = (
    "我的包裹怎么还没到？",
    "I want my money back",
    "能帮我改一下收货地址吗？",
    "How do I reset my password?",
    "这件衣服有小一码的吗？",
    "Do you sell gift cards?",
)
"""Things people say to shops; they fit the sample logs and most service desks."""


def preferred_language(accept_language: str) -> Language:
    """The language a browser's ``Accept-Language`` header asks for first.

    >>> preferred_language("zh-CN,zh;q=0.9,en;q=0.8"), preferred_language("de, en;q=0.5")
    ('zh', 'en')
    """
    for part in accept_language.split(","):
        language = part.partition(";")[0].strip().lower()
        if language.startswith("zh"):
            return "zh"
        if language.startswith("en"):
            return "en"
    return "en"
