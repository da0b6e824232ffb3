#!/usr/bin/env python3
"""A picture of what `exaconn view RUN` shows: Neuroglancer in a headless Chromium, nothing from the network.

    python -m venv venv && venv/bin/pip install neuroglancer    # brings the client and tornado
    venv/bin/python scripts/screenshot_neuroglancer.py build/default/exaconn RUN docs/images/neuroglancer.png

Chromium (`apt-get install chromium`) draws with its software renderer, so no GPU is needed. Fails if the layers are not
loaded in time or the page reports an error.
"""
import argparse
import asyncio
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import neuroglancer
import tornado.websocket


class Page:
    """The DevTools protocol, as far as it is needed."""

    def __init__(self, socket):
        self.socket, self.number, self.said = socket, 0, []

    async def ask(self, method, **parameters):
        self.number += 1
        await self.socket.write_message(json.dumps(dict(id=self.number, method=method, params=parameters)))
        while True:
            answer = json.loads(await self.socket.read_message())
            if answer.get('id') == self.number:
                assert 'error' not in answer, answer
                return answer['result']
            if answer.get('method') == 'Runtime.exceptionThrown':
                details = answer['params']['exceptionDetails']
                self.said.append(details.get('exception', {}).get('description', details['text'])[:500])
            elif answer.get('method') == 'Runtime.consoleAPICalled':
                self.said.append(' '.join(str(a.get('value', a.get('description'))) for a in answer['params']['args'])[:500])

    async def value(self, expression):
        return (await self.ask('Runtime.evaluate', expression=expression, returnByValue=True))['result'].get('value')


def debugger_address(profile, tries=300):
    for _ in range(tries):
        try:
            port = (profile / 'DevToolsActivePort').read_text().split()[0]
            pages = json.load(urllib.request.urlopen(f'http://127.0.0.1:{port}/json'))
            return next(p['webSocketDebuggerUrl'] for p in pages if p['type'] == 'page')
        except (OSError, IndexError, StopIteration):
            time.sleep(0.1)
    raise SystemExit('chromium did not start')


async def take(address, viewer, output, seconds, size):
    page = Page(await tornado.websocket.websocket_connect(address, max_message_size=1 << 28))
    await page.ask('Runtime.enable')
    await page.ask('Page.enable')
    await page.ask('Emulation.setDeviceMetricsOverride', width=size[0], height=size[1], deviceScaleFactor=1, mobile=False)
    await page.ask('Page.navigate', url=viewer.get_viewer_url())
    loaded = asyncio.get_running_loop().run_in_executor(None, viewer.screenshot)  # waits for all chunks
    done, _ = await asyncio.wait([loaded], timeout=seconds)
    if not done:
        print(f'not loaded within {seconds} s', *page.said[-10:], sep='\n', file=sys.stderr)
        os._exit(1)
    await page.value('1')  # hears what the page said meanwhile
    failed = [line for line in page.said if 'rror' in line]
    if failed:
        raise SystemExit('\n'.join(failed[-10:]))
    picture = await page.ask('Page.captureScreenshot', format='png')
    pathlib.Path(output).write_bytes(base64.b64decode(picture['data']))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('exaconn')
    parser.add_argument('run', help='a run directory that was exported, or a precomputed folder')
    parser.add_argument('output', help='the PNG')
    parser.add_argument('--seconds', type=int, default=120, help='how long to wait (default 120)')
    parser.add_argument('--size', default='1000x700')
    a = parser.parse_args()
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if not chromium:
        raise SystemExit('no chromium: apt-get install chromium')
    neuroglancer.set_server_bind_address('127.0.0.1')
    viewer = neuroglancer.Viewer()
    client = viewer.get_viewer_url().split('/v/')[0]
    view = subprocess.Popen([a.exaconn, 'view', a.run, '--client', client], stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory() as profile:
        browser = subprocess.Popen([chromium, '--headless=new', '--no-sandbox', '--no-first-run', '--remote-debugging-port=0',
                                    '--remote-allow-origins=*', '--use-angle=swiftshader', '--use-gl=angle',
                                    '--enable-unsafe-swiftshader', f'--user-data-dir={profile}', 'about:blank'],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            link = view.stdout.readline().strip()
            if not link:
                raise SystemExit('exaconn view gave no link')
            # The state of the link, by the package's own server: its page takes states from nowhere else.
            viewer.set_state(json.loads(urllib.parse.unquote(link.split('#!', 1)[1])))
            size = [int(n) for n in a.size.split('x')]
            asyncio.run(take(debugger_address(pathlib.Path(profile)), viewer, a.output, a.seconds, size))
        finally:
            browser.terminate()
            view.terminate()
            browser.wait()
            view.wait()
    print(f'{a.output}: {pathlib.Path(a.output).stat().st_size} bytes')


if __name__ == '__main__':
    main()
