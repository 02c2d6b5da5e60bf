"""The page for trying things out."""

from __future__ import annotations

from tailorbird.console.words.language import Words

WORDS: Words = {
    "en": {
        "heading": "Say something to your assistant",
        "lead": "It was tuned from your logs. Type what a person would write; it shows what it "
        "understood, what it would answer, and why.",
        "placeholder": "Where is my parcel?",
        "send": "Ask",
        "hint": "Enter sends, Shift + Enter starts a new line",
        "examples": "Or try one of these",
        "intent": "Intent",
        "in_scope": "In scope",
        "out_of_scope": "Out of scope",
        "out_of_scope_note": "The score is below the threshold chosen on validation: better "
        "ask back, or hand over to a person.",
        "answer": "Answer",
        "nearest_answer": "What the nearest intent would answer",
        "no_answer": "This intent has no template in this language.",
        "why": "Why",
        "candidates": "How sure it is of each intent",
        "scope_score": "How sure it is that this is something it knows",
        "bundle": "bundle",
        "adapter": "adapter",
        "no_adapter": "none, the assistant shared by all",
        "took": "took",
        "history": "Your last tries",
        "history_note": "Only in this tab; gone when you close it.",
        "nothing_yet": "The answer appears here.",
        "reasons_title": "Which words made it that intent",
        "reasons_for": "Which words speak for {intent}",
        "reasons_speaks": "speaks for it",
        "reasons_against": "speaks against it",
        "reasons_number": "{weight} nats of log-odds",
        "reasons_numbers": "The largest weights",
        "reasons_note": "What a word adds to the log-odds of the intent, by integrated gradients: "
        "+0.69 makes it twice as likely against all others, −0.69 half as likely.",
        "reasons_nearest": "The training examples that are nearest",
        "reasons_waiting": "Being computed, after everything that has to be answered…",
        "reasons_no_words": "There is no word in it.",
        "reasons_no_extra": "The words can be weighed once the extra “explain” is installed:",
        "reasons_no_model": "The words cannot be weighed: that needs an assistant tuned here on an "
        "encoder of the BERT family.",
    },
    "zh": {
        "heading": "对你的助手说句话",
        "lead": "它由你的日志微调而成。输入用户会说的话，"
        "看看它理解成什么、会怎样回答，以及为什么。",
        "placeholder": "我的包裹怎么还没到？",
        "send": "提问",
        "hint": "回车发送，Shift + 回车换行",
        "examples": "或者试试这些",
        "intent": "意图",
        "in_scope": "范围内",
        "out_of_scope": "超出范围",
        "out_of_scope_note": "得分低于在验证集上选定的阈值：最好追问一句，或转人工。",
        "answer": "回答",
        "nearest_answer": "最接近的意图会这样回答",
        "no_answer": "这个意图没有这种语言的回答模板。",
        "why": "为什么",
        "candidates": "对每个意图的把握",
        "scope_score": "对“属于已知范围”的把握",
        "bundle": "模型包",
        "adapter": "适配器",
        "no_adapter": "无，所有人共用的助手",
        "took": "用时",
        "history": "最近的尝试",
        "history_note": "只保存在本标签页，关闭即消失。",
        "nothing_yet": "回答会显示在这里。",
        "reasons_title": "哪些词决定了这个意图",
        "reasons_for": "哪些词支持“{intent}”",
        "reasons_speaks": "支持",
        "reasons_against": "反对",
        "reasons_number": "对数几率 {weight} 奈特",
        "reasons_numbers": "权重最大的词",
        "reasons_note": "数字是这个词给该意图的对数几率加了多少（积分梯度）："
        "+0.69 使它相对其他意图的可能性翻倍，−0.69 减半。",
        "reasons_nearest": "最接近的训练样本",
        "reasons_waiting": "正在计算，优先回答用户……",
        "reasons_no_words": "里面没有词。",
        "reasons_no_extra": "安装附加包 explain 后才能按词解释：",
        "reasons_no_model": "无法按词解释：需要用这里的工具在 BERT 类编码器上微调出的助手。",
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
