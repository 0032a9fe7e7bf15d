import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTRUCTIONS = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
#: The one of Python that goes into the image.
ENVIRONMENT = "/opt/nativelink-gateway"


def of(instruction: str) -> list[str]:
    return [line.removeprefix(f"{instruction} ") for line in INSTRUCTIONS if line.startswith(f"{instruction} ")]


def test_the_image_is_slim_and_its_process_is_nobody_special() -> None:
    assert of("ARG") == ["PYTHON_IMAGE=python:3.13-slim"]
    assert of("USER") == ["10001:10001"]
    (made,) = (line for line in of("RUN") if "useradd" in line)
    assert "groupadd --gid 10001 gateway && useradd --uid 10001 --gid gateway" in made
    assert INSTRUCTIONS.index("USER 10001:10001") < next(i for i, line in enumerate(INSTRUCTIONS) if line.startswith("ENTRYPOINT"))


def test_only_what_is_locked_is_installed() -> None:
    run, build, wheel, project = (line for line in of("RUN") if line.startswith("pip "))
    assert run == f"pip --python {ENVIRONMENT}/bin/python install --require-hashes -r requirements/run.txt"
    assert build == "pip install --require-hashes -r requirements/build.txt"
    assert wheel.startswith("pip wheel --no-deps --no-build-isolation ")
    assert project.startswith(f"pip --python {ENVIRONMENT}/bin/python install --no-deps --no-index /wheel/")


def test_what_builds_the_project_stays_behind() -> None:
    assert f"python -m venv --without-pip {ENVIRONMENT}" in of("RUN")
    assert [line for line in of("COPY") if line.startswith("--from")] == [f"--from=build {ENVIRONMENT} {ENVIRONMENT}"]


def test_it_is_asked_whether_it_lives() -> None:
    (check,) = of("HEALTHCHECK")
    assert check.endswith('CMD ["python", "-m", "gateway.alive", "50062"]')
    assert of("EXPOSE") == ["50062"]


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for line in of("COPY") if not line.startswith("--from") for source in line.split()[:-1]}
    assert copied == allowed
    assert all((ROOT / each).exists() for each in copied)
