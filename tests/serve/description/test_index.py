import json

from gateway.serve.description.index import index_body
from gateway.serve.description.table import ROUTES


def test_it_is_for_people_a_line_for_each_thing() -> None:
    body = index_body("/openapi", ROUTES)
    assert len(body.splitlines()) > 3 * len(ROUTES)
    index = json.loads(body)
    assert index["openapi"] == "/openapi"
    assert [(route["path"], route["summary"]) for route in index["routes"]] == [(route.path, route.summary) for route in ROUTES]
    assert [route["method"] for route in index["routes"]] == [route.method for route in ROUTES]
    assert [route["role"] for route in index["routes"]] == [route.role and route.role.value for route in ROUTES]
