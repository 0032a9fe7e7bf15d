"""Description: the routes as they are, and what they can be asked and answer, as OpenAPI 3.1 and for people (docs/rest.md).

entry      what is said of a route
questions  what each parameter means
answers    what comes back, with which headers
examples   the bodies of monitoring-api.md, and others like them
table      the routes: one entry each, which `gateway.serve.routes` serves and nothing else
document   table -> GET /api/v1/openapi.json
index      table -> GET /api/v1
reference  document -> docs/rest.md
"""
