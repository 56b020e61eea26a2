"""The example's files say what exists: the app's variables and endpoints, bodies that it takes, and each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from flexiai.app import create_app
from flexiai.app.bodies import DirectChat
from flexiai.app.environment import Environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_multiworker"
GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
VARIABLES = {name.upper() for name in Environment.model_fields}
METRICS_PATH = "/metrics"


def text(name: str) -> str:
    return (EXAMPLE / name).read_text()


def kubernetes() -> dict[tuple[str, str], Any]:
    return {(part["kind"], part["metadata"]["name"]): part for part in yaml.safe_load_all(text("kubernetes.yaml"))}


def labels_of(deployment: Any) -> Any:
    return deployment["spec"]["template"]["metadata"]["labels"]


def container_of(deployment: Any) -> Any:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


def is_known(variable: str) -> bool:
    return variable.partition("__")[0] in VARIABLES


@pytest.mark.parametrize(
    "name",
    [
        *("app.py", "docker-compose.yml", "README.md", ".env.example", "Dockerfile", "redis.conf", "nginx.conf"),
        *("haproxy.cfg", "kubernetes.yaml", "prometheus.yml", "post.lua", "request.json", "logging.json"),
    ],
)
def test_every_file_is_there_and_the_guide_names_it(name: str) -> None:
    assert text(name)
    assert f"`{name}`" in GUIDE.read_text()


def test_the_environments_example_names_variables_that_exist() -> None:
    named = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text(".env.example"), re.MULTILINE)
    assert len(named) > 20
    assert [name for name in named if not is_known(name)] == []


def test_the_environments_example_names_every_variable() -> None:
    named = {
        name.partition("__")[0] for name in re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text(".env.example"), re.MULTILINE)
    }
    assert sorted(VARIABLES - named) == []


@pytest.mark.parametrize("body", [text("request.json"), *re.findall(r"wrk\.body\s*=\s*'(.*)'", text("post.lua"))])
def test_what_ab_and_wrk_send_is_what_the_app_takes(body: str) -> None:
    assert DirectChat.model_validate_json(body).message == "Hello"


def test_compose_has_the_service_that_is_scaled_and_variables_that_exist() -> None:
    services = yaml.safe_load(text("docker-compose.yml"))["services"]
    api = services["flexiai-api"]
    assert [name for name in api["environment"] if not is_known(name)] == []
    assert api["environment"]["REDIS_HOST"] in services
    assert re.fullmatch(r"\d+-\d+:8000", api["ports"][0])  # a range: three replicas cannot have one port
    assert (EXAMPLE / api["build"]["context"] / api["build"]["dockerfile"]).resolve() == EXAMPLE / "Dockerfile"


def test_compose_itself_takes_the_file(tmp_path: Path) -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("no docker-compose: the file is only parsed")
    folder = tmp_path / "examples" / "fastapi_multiworker"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".env"))
    (folder / ".env").write_text("OPENAI_API_KEY=your-openai-key\n")
    ran = subprocess.run(
        [compose, "config", "--services"], cwd=folder, capture_output=True, check=False, text=True, timeout=60
    )
    assert (ran.returncode, set(ran.stdout.split())) == (0, {"redis", "flexiai-api"}), ran.stderr


def test_the_image_has_what_it_copies() -> None:
    root = EXAMPLE.parents[1]
    sources = [line.split()[1:-1] for line in text("Dockerfile").splitlines() if line.startswith("COPY")]
    assert [name for names in sources for name in names if not (root / name).exists()] == []
    assert '"app:app"' in text("Dockerfile")


def test_kubernetes_names_variables_that_exist() -> None:
    parts = kubernetes()
    named = [entry["name"] for entry in container_of(parts["Deployment", "flexiai-api"])["env"]]
    told_of = re.findall(r"--from-literal=([A-Z_]+)=", text("kubernetes.yaml"))
    assert told_of
    assert [name for name in (*named, *told_of) if not is_known(name)] == []


def test_kubernetes_parts_find_each_other() -> None:
    parts = kubernetes()
    api, redis = parts["Deployment", "flexiai-api"], parts["Deployment", "redis"]
    for deployment, service in ((api, "flexiai-api"), (redis, "redis-service")):
        wanted = parts["Service", service]["spec"]["selector"]
        assert labels_of(deployment).items() >= wanted.items()
        assert deployment["spec"]["selector"]["matchLabels"] == wanted
    host = next(entry for entry in container_of(api)["env"] if entry["name"] == "REDIS_HOST")
    assert ("Service", host["value"]) in parts
    scaled = parts["HorizontalPodAutoscaler", "flexiai-api-hpa"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) in parts


def test_kubernetes_asks_endpoints_that_exist_and_waits_for_an_end() -> None:
    pod = kubernetes()["Deployment", "flexiai-api"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    asked = {container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")}
    assert asked == {"/health/ready", "/health/live"}
    assert asked <= create_app().openapi()["paths"].keys()
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    takes = float(given["FLEXIAI_DRAIN_S"]) + float(given["FLEXIAI_SHUTDOWN_GRACE_S"])
    assert pod["terminationGracePeriodSeconds"] > takes


def test_prometheus_asks_each_instance_itself() -> None:
    (job,) = yaml.safe_load(text("prometheus.yml"))["scrape_configs"]
    assert job.get("metrics_path", METRICS_PATH) in create_app().openapi()["paths"]
    instances = re.findall(r"server (127\.0\.0\.1:\d+);", text("nginx.conf"))
    assert job["static_configs"][0]["targets"] == instances
    assert re.findall(r"server worker\d (\S+) check", text("haproxy.cfg")) == instances


def test_prometheus_itself_takes_the_file() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: the file is only parsed")
    ran = subprocess.run(
        [promtool, "check", "config", EXAMPLE / "prometheus.yml"], capture_output=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
