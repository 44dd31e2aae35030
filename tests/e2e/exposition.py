# SPDX-License-Identifier: BSD-2-Clause
"""Prometheus' text format, read by the letter.

    page = Page(text)
    page.value("checkerd_host_up", pool="web", host="a")

Anything that is not exactly the format fails: samples outside of their metric,
a sample that is there twice, labels that are not escaped.
"""
import re

HEAD = re.compile(r"# HELP (\w+) (.+)\n# TYPE \1 (counter|gauge|histogram)\n")
SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? '
                    r"(\S+)\n")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Page:
    def __init__(self, text):
        self.types = {}
        self.samples = {}
        at, current = 0, None
        while at < len(text):
            head = HEAD.match(text, at)
            if head:
                current = head[1]
                assert current not in self.types, f"{current} begins again"
                self.types[current] = head[3]
                at = head.end()
                continue
            sample = SAMPLE.match(text, at)
            assert sample, f"no sample: {text[at:at + 200]!r}"
            self.add(current, sample)
            at = sample.end()

    def add(self, metric, sample):
        suffix = sample[1].removeprefix(metric)
        assert suffix in (("_bucket", "_sum", "_count")
                          if self.types[metric] == "histogram" else ("",)), \
            f"{sample[1]} among the samples of {metric}"
        labels = frozenset(
            (name, re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], value))
            for name, value in LABEL.findall(sample[2] or ""))
        assert (sample[1], labels) not in self.samples, f"twice: {sample[0]}"
        self.samples[sample[1], labels] = float(sample[3])

    def all(self, name, **labels):
        """{the other labels as a frozenset: value}"""
        wanted = frozenset(labels.items())
        return {have - wanted: value
                for (metric, have), value in self.samples.items()
                if metric == name and wanted <= have}

    def value(self, name, **labels):
        found = self.all(name, **labels)
        assert len(found) == 1, f"{name} {labels}: {found}"
        return next(iter(found.values()))

    def sum(self, name, **labels):
        return sum(self.all(name, **labels).values())
