"""The pages that frame a report: that of the live bundle, and that about users."""

from __future__ import annotations

from tailorbird.console.words.language import Words

WORDS: Words = {
    "en": {
        "report_heading": "Report of the live bundle",
        "no_report_title": "No report",
        "no_report_text": "The live bundle carries no report.",
        "open_report": "Open in its own tab",
        "users_heading": "What each user gets",
        "no_users_title": "Nobody has anything of their own yet",
        "no_users_text": "An adapter for each user whom it helps, with the proof, comes from:",
        "no_users_command": "tailorbird personalise ROWS",
    },
    "zh": {
        "report_heading": "当前模型包的报告",
        "no_report_title": "没有报告",
        "no_report_text": "当前模型包不带报告。",
        "open_report": "在新标签页中打开",
        "users_heading": "每位用户得到什么",
        "no_users_title": "还没有用户拥有自己的助手",
        "no_users_text": "为每位确有帮助的用户生成适配器，并给出证明：",
        "no_users_command": "tailorbird personalise ROWS",
    },
}
