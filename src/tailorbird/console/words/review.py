"""The review queue."""

from __future__ import annotations

from tailorbird.console.words.language import Words

WORDS: Words = {
    "en": {
        "review_heading": "Review",
        "review_kinds": "What to review",
        "review_drafts": "Drafts",
        "review_disliked": "Disliked",
        "review_unsure": "Unsure",
        "review_about_drafts": "Answers of agents, and what visitors say should have been "
        "answered. What you accept is known from then on, and is learned by the next build.",
        "review_about_disliked": "Answers with a thumb down or a correction. Say which intent was "
        "meant, or what should have been answered, or both.",
        "review_about_unsure": "What was refused, or answered without being sure; asked most "
        "first. Say which intent was meant, or what should have been answered, or both.",
        "review_no_drafts": "No draft waits. At the desk, one click makes a draft of an answer.",
        "review_no_disliked": "Nobody has disliked an answer that you have not seen.",
        "review_no_unsure": "Nothing was refused that you have not seen.",
        "review_back": "All of them",
        "review_times": "{n} times",
        "review_question": "Question",
        "review_conversation": "The whole conversation",
        "review_given": "What was answered",
        "review_taken_for": "What it was taken for",
        "review_intent": "The intent that was meant",
        "review_intent_hint": "unknown, or none of them",
        "review_answer": "What should be answered",
        "review_answer_hint": "Empty: only the intent is learned",
        "review_accept": "Accept",
        "review_reject": "Reject",
        "review_keys": "j and k: next and previous · a: accept · r: reject",
        "review_no_intent": "There is no intent {name!r}; choose one of the list.",
        "review_nothing": "Nothing to learn: write an answer, or choose the intent.",
        "review_accepted": "Accepted: known from now on, and a training pair of the next build.",
        "review_labelled": "Labelled: a training pair of the next build.",
        "review_rejected": "Rejected: nothing is learned from it.",
    },
    "zh": {
        "review_heading": "审核队列",
        "review_kinds": "审核什么",
        "review_drafts": "草稿",
        "review_disliked": "差评",
        "review_unsure": "没把握",
        "review_about_drafts": "坐席的回答，以及访客认为应有的回答。"
        "采纳后立即成为知识，并在下次构建时学习。",
        "review_about_disliked": "被点踩或被纠正的回答。请指出真正的意图，或应有的回答，或两者。",
        "review_about_unsure": "被拒答或没有把握的问题，问得最多的在前。"
        "请指出真正的意图，或应有的回答，或两者。",
        "review_no_drafts": "没有待审的草稿。在客服台点一下就能把回答存为草稿。",
        "review_no_disliked": "没有你还没看过的差评。",
        "review_no_unsure": "没有你还没看过的拒答。",
        "review_back": "全部",
        "review_times": "{n} 次",
        "review_question": "问题",
        "review_conversation": "查看整个会话",
        "review_given": "当时的回答",
        "review_taken_for": "当时的理解",
        "review_intent": "真正的意图",
        "review_intent_hint": "不清楚，或都不是",
        "review_answer": "应有的回答",
        "review_answer_hint": "留空：只学习意图",
        "review_accept": "采纳",
        "review_reject": "拒绝",
        "review_keys": "j、k：下一个、上一个 · a：采纳 · r：拒绝",
        "review_no_intent": "没有意图 {name!r}；请从列表中选择。",
        "review_nothing": "没有可学的内容：请写下回答，或选择意图。",
        "review_accepted": "已采纳：即刻成为知识，并作为下次构建的训练样本。",
        "review_labelled": "已标注：作为下次构建的训练样本。",
        "review_rejected": "已拒绝：不会从中学习。",
    },
}
