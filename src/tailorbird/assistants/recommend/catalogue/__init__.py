"""Items and events: from files, SQL and the workspace, into one log that is cut in time."""
