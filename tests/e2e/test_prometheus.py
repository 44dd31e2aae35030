# SPDX-License-Identifier: BSD-2-Clause
"""A real Prometheus scrapes a real checkerd and evaluates the alert rules as
they are installed, but for one thing: a copy is loaded in which nothing waits
(`for: 0s`), since a test has no minute."""

import http.client
import json
import re
import subprocess
import urllib.parse
from pathlib import Path

import pytest

from backends import Backends
from checkerd import Checkerd
from nginx import free_port, wait_for

RULES = Path(__file__).resolve().parents[2] / \
    "etc/prometheus/checkerd.rules.yml"
DASHBOARD = Path(__file__).resolve().parents[2] / "etc/grafana/checkerd.json"


class Prometheus:
    def __init__(self, folder, target):
        self.port = free_port()
        self.log = folder / "prometheus.log"
        rules, count = re.subn(r"^( *for:) .*$", r"\1 0s", RULES.read_text(),
                               flags=re.M)
        assert count > 5
        (folder / "rules.yml").write_text(rules)
        (folder / "prometheus.yml").write_text(f"""
global:
  scrape_interval: 200ms
  scrape_timeout: 200ms
  evaluation_interval: 200ms
rule_files:
  - rules.yml
scrape_configs:
  - job_name: checkerd
    static_configs:
      - targets: ["{target}"]
""")
        self.command = [
            "prometheus", f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{self.port}"]

    def get(self, path, **query):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=30)
        connection.request("GET", path + "?" + urllib.parse.urlencode(query))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def ready(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/-/ready")[0] == 200
        except OSError:
            return False

    def query(self, expression):
        """[(labels, value)]"""
        status, text = self.get("/api/v1/query", query=expression)
        document = json.loads(text)
        assert status == 200, document
        return [(row["metric"], float(row["value"][1]))
                for row in document["data"]["result"]]

    def firing(self):
        alerts = json.loads(self.get("/api/v1/alerts")[1])["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert for alert in alerts
                if alert["state"] == "firing"}

    def wait_firing(self, name):
        return wait_for(lambda: self.firing().get(name), f"{name} to fire", 60)

    def wait_quiet(self, *names):
        wait_for(lambda: not self.firing().keys() & set(names),
                 f"{', '.join(names)} not to fire", 60)

    def __enter__(self):
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        wait_for(self.ready, "Prometheus to be ready", 60)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def backends():
    with Backends(2) as backends:
        yield backends


@pytest.fixture
def scene(folder, backends):
    """checkerd with two hosts that are up, and who watches it."""
    port = free_port()
    servers = "".join(f"server = {backend.address} id={backend.name}\n"
                      for backend in backends)
    ini = f"""listen = 127.0.0.1:{port}
[defaults]
interval = 100ms
path = /healthz
[pool web]
upstream = www
panic = 20%
{servers}"""
    with Checkerd(folder / "checkerd", ini) as checkerd:
        checkerd.wait_probes("web/a", 2)
        checkerd.wait_probes("web/b", 2)
        with Prometheus(folder, f"127.0.0.1:{port}") as prometheus:
            wait_for(lambda: prometheus.query('up{job="checkerd"} == 1'),
                     "a scrape", 60)
            # it did until then
            prometheus.wait_quiet("CheckerdAbsent")
            yield checkerd, prometheus


def test_hosts_go_down_and_alerts_fire(scene, backends):
    checkerd, prometheus = scene
    backends[0].health = 503
    alert = prometheus.wait_firing("CheckerdHostDown")
    assert alert["labels"]["host"] == "a"
    assert alert["labels"]["pool"] == "web"
    assert alert["annotations"]["summary"] == "web/a is down"
    assert "CheckerdPoolWithoutHosts" not in prometheus.firing()

    backends[1].health = 503
    prometheus.wait_firing("CheckerdPoolWithoutHosts")
    prometheus.wait_firing("CheckerdPoolPanic")

    for backend in backends:
        backend.health = 200
    prometheus.wait_quiet("CheckerdHostDown", "CheckerdPoolWithoutHosts",
                          "CheckerdPoolPanic")


def test_an_order_is_no_alert(scene, backends):
    checkerd, prometheus = scene
    with checkerd.rest() as rest:
        rest.patch("/v1/pools/web/hosts/a", {"admin": "down"})
    wait_for(lambda: prometheus.query('checkerd_host_ordered{host="a"} == 1'),
             "the order to be scraped", 60)
    assert prometheus.query('checkerd_host_state{host="a"} == 3')
    # the same moment, by Prometheus' clock
    assert not prometheus.query(
        "checkerd_host_state == 3 and checkerd_host_ordered == 0")
    assert "CheckerdHostDown" not in prometheus.firing()


def test_a_checker_that_stops_is_missed(scene):
    checkerd, prometheus = scene
    checkerd.stop()
    alert = prometheus.wait_firing("CheckerdAbsent")
    assert "does not answer at 127.0.0.1:" in alert["annotations"]["summary"]
    checkerd.start()
    prometheus.wait_quiet("CheckerdAbsent")


def test_every_panel_is_a_question_that_prometheus_answers(scene):
    """What shows nothing here shows what is not there."""
    _, prometheus = scene
    variables = {"instance": ".*", "upstream": ".*", "pool": ".*",
                 "__rate_interval": "30s", "__range": "1m"}
    empty = {"Hosts that are not up", "States", "Certificates",
             "Next certificate to expire"}
    panels = [panel for panel in json.loads(DASHBOARD.read_text())["panels"]
              if panel["type"] != "row"]
    wait_for(lambda: prometheus.query(
        "rate(checkerd_probes_total[30s]) > 0"), "two scrapes", 60)
    for panel in panels:
        for target in panel["targets"]:
            expression = re.sub(r"\$(\w+)", lambda name: variables[name[1]],
                                target["expr"])
            found = prometheus.query(expression)
            assert bool(found) == (panel["title"] not in empty), \
                f"{panel['title']}: {expression}: {found}"
