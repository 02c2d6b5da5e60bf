"""The service desk over HTTP: routes, what goes over the wire, the widget."""
