"""Customer service: answers with sources, refusal, and people who take over."""
