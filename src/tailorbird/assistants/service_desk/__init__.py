"""The service desk: what the assistant says to people who ask for help, why, and who takes over.

`open_service_desk` puts everything to use that a workspace has. `deciding` makes an answer of
rules, templates, facts and documents; `exchange` keeps what is said; `desk` is where people help.
"""

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.assistants.service_desk.opening import OpenDesk, open_service_desk

__all__ = ["OpenDesk", "ServiceDesk", "open_service_desk"]
