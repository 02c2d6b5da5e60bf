"""An adapter for each user where it helps, with the proof; own rows or nothing where it does not.

`divide_by_user` divides each user's rows along time, `view` looks at all of them once, `tuned`
makes adapters by jobs, `proving` makes what is tried, decides and tests, `report` shows it,
`giving` keeps what won, and `forgetting` removes a user from a workspace.
"""

from tailorbird.personalise import forgetting, giving, proving, report, tuned, view
from tailorbird.personalise.splitting import UserRows, divide_by_user

__all__ = [
    "UserRows",
    "divide_by_user",
    "forgetting",
    "giving",
    "proving",
    "report",
    "tuned",
    "view",
]
