from gateway.serve.authentication.role import Role


def test_an_operator_may_read_and_a_reader_may_not_operate() -> None:
    assert {(one, other) for one in Role for other in Role if one.includes(other)} == {
        (Role.READER, Role.READER),
        (Role.OPERATOR, Role.READER),
        (Role.OPERATOR, Role.OPERATOR),
    }
