"""The service desk: what the assistant says to people who ask for help, why, and who takes over.

`deciding` puts an answer together from rules, templates, facts and documents; `chat_routes` gives
it to clients of the OpenAI form.
"""
