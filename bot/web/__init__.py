"""The page, the HTTP API and the event stream, on one port.

`app.create` makes the application from small ports (`parts.WebParts`), `server.serve` runs it inside the caller's
task group. Everything a person reads comes from `storage.views`, everything that they do goes through the same
intake as on any platform: the web has no powers of its own. `security` stands before every route.
"""
