"""An adapter for each user where it helps that user, with the proof; own rows or nothing where not.

`divide_by_user` divides each user's rows along time, `view` looks at all of them once, `tuned`
makes adapters by jobs, `proving` makes what is tried, decides and tests, `report` shows it, `giving`
keeps what won, and `forget` removes a user from a workspace.
"""

from tailorbird.personalise import giving, proving, report, tuned, view
from tailorbird.personalise.forgetting import forget
from tailorbird.personalise.splitting import UserRows, divide_by_user

__all__ = [
    "UserRows",
    "divide_by_user",
    "forget",
    "giving",
    "proving",
    "report",
    "tuned",
    "view",
]
