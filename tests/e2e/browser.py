# SPDX-License-Identifier: BSD-2-Clause
"""A real Chromium without a window, for tests.

    with Browser(folder) as browser, browser.page() as page:
        page.open("http://127.0.0.1:8080/")
        page.wait("document.title === 'x'", "the title")
        page.click("#button")

It is spoken to in the DevTools protocol over a pipe: no port, no driver. What
a page complains of, an exception or a line in its console, fails the test when
the page is closed, unless the test has named it with `expect`.
"""

import base64
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import time

CHROMIUM = os.environ.get("CHECKERD_CHROMIUM", "/usr/bin/chromium")
PATIENCE = 30

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage
    --no-first-run --no-default-browser-check --disable-background-networking
    --disable-component-update --disable-sync --disable-extensions
    --hide-scrollbars --force-color-profile=srgb --lang=en-US
    --remote-debugging-pipe""".split()

KEYS = {"Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40, "Tab": 9}


class ScriptError(AssertionError):
    """An exception in the page."""


class Browser:
    def __init__(self, folder):
        self.folder = str(folder)
        self.number = 0
        self.buffer = b""
        self.events = []
        self.process = None

    def __enter__(self):
        # it reads at 3 and writes at 4; ours are out of the way of those
        theirs, self.out = self.pipe()
        self.into, theirs_too = self.pipe()
        with open(os.path.join(self.folder, "chromium.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f'exec "$@" 3<&{theirs} 4>&{theirs_too}',
                 "bash", CHROMIUM, *FLAGS,
                 f"--user-data-dir={self.folder}/profile", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(theirs, theirs_too), start_new_session=True,
                env={**os.environ, "TZ": "UTC", "HOME": self.folder})
        os.close(theirs)
        os.close(theirs_too)
        self.call("Browser.getVersion")
        return self

    def __exit__(self, *_):
        os.close(self.out)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        os.close(self.into)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    @staticmethod
    def pipe():
        ends = os.pipe()
        high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20)
                     for end in ends)
        for end in ends:
            os.close(end)
        return high

    def receive(self, timeout):
        """The next message, or None if there is none in time."""
        deadline = time.monotonic() + timeout
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                return None
            data = os.read(self.into, 1 << 20)
            assert data, "Chromium has gone: see chromium.log"
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.receive(max(0, deadline - time.monotonic()))
            assert answer, f"no answer to {method} in {PATIENCE} s"
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def page(self, **settings):
        return Page(self, **settings)


class Page:
    def __init__(self, browser, width=1400, height=900, dark=False):
        self.browser = browser
        self.expected = []
        context = browser.call("Target.createBrowserContext")
        self.context = context["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank",
                              browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target,
                                    flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log", "Network":
            self.call(f"{domain}.enable")
        self.look(width, height, dark)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def look(self, width, height=900, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"}])

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && "
                  "location.href !== 'about:blank'", f"{url} to load")

    def run(self, script):
        """The value of an expression, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=script,
                           awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ScriptError(script, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, script, what, timeout=15.0):
        deadline = time.monotonic() + timeout
        while True:
            try:
                value = self.run(script)
            except ScriptError:
                value = None  # nothing of it is there yet
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"waited {timeout} s in vain for {what}; the page says:\n"
                    + (self.run("document.body.innerText") or "")[:3000])
            time.sleep(0.03)

    def text(self, selector):
        """What stands there for people to see; None: no such thing."""
        return self.run(f"(n => n && n.checkVisibility() ? n.innerText : null)"
                        f"(document.querySelector({json.dumps(selector)}))")

    def shows(self, selector, text, what=None):
        return self.wait(
            f"(document.querySelector({json.dumps(selector)})"
            f"?.innerText || '').includes({json.dumps(text)})",
            what or f"{text!r} in {selector}")

    def click(self, selector):
        """With the mouse, so it must be there and nothing in front of it."""
        x, y = self.wait(
            f"""(n => {{
                if (!n || !n.checkVisibility()) return null;
                n.scrollIntoView({{ block: "nearest" }});
                const r = n.getBoundingClientRect();
                const at = [r.x + r.width / 2, r.y + r.height / 2];
                const top = document.elementFromPoint(...at);
                return top && (n.contains(top) || top.contains(n)) && at;
            }})(document.querySelector({json.dumps(selector)}))""",
            f"{selector} to be clickable")
        for kind in "mousePressed", "mouseReleased":
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y,
                      button="left", clickCount=1)

    def key(self, key):
        code = KEYS.get(key) or ord(key.upper())
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key,
                  windowsVirtualKeyCode=code, text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key,
                  windowsVirtualKeyCode=code)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def expect(self, pattern):
        """Complaints that match are part of the test."""
        self.expected.append(pattern)

    def complaints(self):
        self.run("1")  # what came before this has been received
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(parameters["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded":
                entry = parameters["entry"]
                found.append(f"{entry['text']} {entry.get('url', '')}")
            elif event["method"] == "Runtime.consoleAPICalled":
                found.append(json.dumps(parameters["args"]))
        return [line for line in found
                if not any(re.search(p, line) for p in self.expected)]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            complaints = self.complaints()
        finally:
            self.browser.call("Target.disposeBrowserContext",
                              browserContextId=self.context)
            self.browser.events.clear()
        if kind is None:
            assert not complaints, "\n".join(["the page complains:",
                                              *complaints])
        elif complaints:
            print("the page complains:", *complaints, sep="\n")
