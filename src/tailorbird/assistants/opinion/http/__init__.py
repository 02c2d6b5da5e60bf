"""Opinion monitoring over HTTP: routes under ``/v1/opinion``, and what goes over the wire."""
