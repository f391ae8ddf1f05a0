# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""A bench for the tracker node: it runs in a process of its own, the test in this one."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
import itertools
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fast_sam2_ros.msg import TrackerStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
import pytest
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParametersAtomically
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

FAKE = Path(__file__).with_name('fake_session_node.py')
PROFILE = Path(__file__).parents[2] / 'config' / 'fastdds.xml'
SHARED_MEMORY = Path('/dev/shm')
# Domains 1 to 100 have ports of their own everywhere; processes of tests start apart.
DOMAINS = itertools.count(7 * os.getpid())


class NodeProcess:
    """A node in a process of its own, with what it logs."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str]) -> None:
        self._log = log
        with log.open('wb') as stream:
            self.process = subprocess.Popen(
                arguments, stdout=stream, stderr=subprocess.STDOUT, env=environment,
                cwd=log.parent)

    @property
    def log(self) -> str:
        """Return what the process printed until now."""
        return self._log.read_text(errors='replace')

    def interrupt(self, number: int = signal.SIGINT, timeout: float = 15.0) -> tuple[int, float]:
        """Send a signal; return the exit status and the seconds until the end."""
        start = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(timeout), time.monotonic() - start

    def kill(self) -> None:
        """End the process with SIGKILL, as the system does when memory is short."""
        self.process.kill()
        self.process.wait()

    @property
    def crashed(self) -> bool:
        """Return whether it ended by itself, and not as it should."""
        return (self.process.poll() or 0) > 0

    @property
    def threads(self) -> int:
        """Return how many threads the process has."""
        return len(list(Path(f'/proc/{self.process.pid}/task').iterdir()))

    @property
    def resident(self) -> int:
        """Return the resident memory of the process in bytes."""
        pages = int(Path(f'/proc/{self.process.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE')


class Bench:
    """A user of the tracker: publishes images and goals, keeps what the tracker sends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._domain = 1 + next(DOMAINS) % 100
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self._domain)
        self.node = Node('bench', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._processes: list[NodeProcess] = []
        self.masks: list[Image] = []
        self.statuses: list[TrackerStatus] = []
        self.tasks: dict[str, DiagnosticStatus] = {}
        self._images = self.node.create_publisher(Image, 'image', QoSProfile(depth=1))
        self._texts = self.node.create_publisher(String, 'target_text', 10)
        self.hear(Image, 'segmentation/mask', self.masks)
        self.hear(TrackerStatus, 'segmentation/status', self.statuses)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def hear(self, kind: type, topic: str, into: list[Any]) -> None:
        """Subscribe to a topic and append its messages to a list."""
        self.node.create_subscription(kind, topic, into.append, QoSProfile(depth=50))

    def latched(self, topic: str = 'target_text') -> Any:
        """Return a transient-local publisher of texts."""
        return self.node.create_publisher(String, topic, QoSProfile(
            depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL,
            reliability=ReliabilityPolicy.RELIABLE))

    def start(self, *arguments: str, script: Path | None = FAKE, module: str = '',
              wait: bool = True, **environment: str) -> NodeProcess:
        """Start a node process: the fake one, or a module of the package."""
        command = [sys.executable, *(['-m', module] if module else [str(script)])]
        process = NodeProcess(
            [*command, '--ros-args', *arguments],
            self._folder / f'node{len(self._processes)}.log',
            os.environ | environment | {'ROS_DOMAIN_ID': str(self._domain)})
        self._processes.append(process)
        if wait:
            self.wait(lambda: self._serves('/tracker/get_state'), 60, 'the node is there')
        return process

    def start_active(self, *arguments: str, loading: float = 60.0,
                     **options: Any) -> NodeProcess:
        """Start a node, bring it up as the launch file does, and wait until topics are joined."""
        process = self.start(*arguments, **options)
        self.bring_up(loading)
        return process

    def bring_up(self, loading: float = 60.0) -> None:
        """Configure (within `loading` seconds), activate, and wait until topics are joined."""
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert self.change(transition, loading), self._processes[-1].log
        self.wait_joined()

    def wait_joined(self) -> None:
        """Wait until the tracker hears our images and texts, and we hear its masks."""
        self.wait(lambda: self._images.get_subscription_count() == 1 and self.texts_are_heard
                  and self.node.count_publishers('segmentation/mask') == 1
                  and self.node.count_publishers('segmentation/status') == 1, 10,
                  'topics are joined')
        self.spin(0.2)

    @property
    def texts_are_heard(self) -> bool:
        """Return whether the tracker hears our texts."""
        return self._texts.get_subscription_count() == 1

    def spin(self, seconds: float) -> None:
        """Take messages for some time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def wait(self, condition: Callable[[], Any], timeout: float, what: str) -> None:
        """Take messages until a condition holds; fail with `what` when it does not in time."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end or any(each.crashed for each in self._processes):
                logs = '\n'.join(process.log for process in self._processes)
                pytest.fail(f'not within {timeout} s: {what}\n{logs}')
            self._executor.spin_once(timeout_sec=0.02)

    def say(self, text: str) -> None:
        """Publish a text goal, as plain `ros2 topic pub` does."""
        self._texts.publish(String(data=text))

    def send(self, message: Image | CompressedImage | None = None, *, seconds: int = 0,
             **changes: Any) -> Image:
        """Publish an image: the given one, or the picture, with some fields changed."""
        message = message or self.image(self.picture())
        message.header.frame_id = 'test_camera'
        message.header.stamp.sec = seconds
        message.header.stamp.nanosec = 250_000_000
        for field, value in changes.items():
            setattr(message, field, value)
        self._images.publish(message)
        return message

    def unplug(self) -> None:
        """Let the camera go for good."""
        self.node.destroy_publisher(self._images)

    def say_serialized(self, message: bytes) -> None:
        """Publish what is meant to be a text in serialized form."""
        self._texts.publish(message)

    def send_serialized(self, message: bytes) -> None:
        """Publish what is meant to be an image in serialized form."""
        self._images.publish(message)

    def ask(self, text: str, pixels: np.ndarray | None = None) -> np.ndarray:
        """Publish a goal, then an image; return the mask of that image, (H, W) uint8."""
        self.say(text)
        self.wait(lambda: self._goal_is(text), 10, f'goal {text!r} is taken')
        return self.answer(pixels)

    def answer(self, pixels: np.ndarray | None = None, timeout: float = 10.0) -> np.ndarray:
        """Publish an image and return its mask, (H, W) uint8."""
        count = len(self.masks)
        self.send(self.image(self.picture() if pixels is None else pixels))
        self.wait(lambda: len(self.masks) > count and len(self.statuses) == len(self.masks),
                  timeout, 'a mask and its status')
        return self.pixels(self.masks[-1])

    def _goal_is(self, text: str) -> bool:
        """Send an image and see whether the tracker follows `text` already."""
        count = len(self.statuses)
        self.send()
        self.wait(lambda: len(self.statuses) > count, 10, 'a status')
        self.spin(0.02)
        return self.statuses[-1].target_text == text

    def call(self, kind: type, service: str, request: Any, timeout: float = 20.0) -> Any:
        """Call a service and return its response."""
        client = self.node.create_client(kind, service)
        self.wait(client.service_is_ready, 10, f'{service} is ready')
        future = client.call_async(request)
        self.wait(future.done, timeout, f'{service} answers')
        self.node.destroy_client(client)
        return future.result()

    def change(self, transition: int, timeout: float = 20.0) -> bool:
        """Ask for a lifecycle transition; return whether it succeeded."""
        return self.call(ChangeState, '/tracker/change_state', ChangeState.Request(
            transition=Transition(id=transition)), timeout).success

    def state(self) -> str:
        """Return the lifecycle state of the node."""
        return self.call(GetState, '/tracker/get_state', GetState.Request()).current_state.label

    def set(self, **values: Any) -> SetParametersResult:  # noqa: A003
        """Set parameters of the tracker, all or none."""
        return self.call(
            SetParametersAtomically, '/tracker/set_parameters_atomically',
            SetParametersAtomically.Request(parameters=[
                Parameter(name, value=value).to_parameter_msg()
                for name, value in values.items()])).result

    def reset(self) -> Trigger.Response:
        """Call `~/reset`."""
        return self.call(Trigger, '/tracker/reset', Trigger.Request())

    def enable(self, on: bool) -> SetBool.Response:
        """Call `~/set_enabled`."""
        return self.call(SetBool, '/tracker/set_enabled', SetBool.Request(data=on))

    def level(self, task: str) -> bytes | None:
        """Return the last level of a diagnostic task, None before there is one."""
        return self.tasks[task].level if task in self.tasks else None

    @staticmethod
    def picture(height: int = 48, width: int = 64) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB: grey, the left quarter red, the right one blue."""
        pixels = np.full((height, width, 3), 100, np.uint8)
        pixels[:, :width // 4] = (220, 10, 10)
        pixels[:, -(width // 4):] = (10, 10, 220)
        return pixels

    @staticmethod
    def image(pixels: np.ndarray) -> Image:
        """Return (H, W, 3) uint8 RGB as a message, without the package's own conversion."""
        height, width = pixels.shape[:2]
        return Image(height=height, width=width, encoding='rgb8', step=3 * width,
                     data=array.array('B', pixels.tobytes()))

    @staticmethod
    def pixels(message: Image) -> np.ndarray:
        """Return a mono8 message as (H, W) uint8."""
        assert message.encoding == 'mono8'
        return np.array(message.data, np.uint8).reshape(message.height, message.width)

    def close(self) -> None:
        """End the processes, as gently as they allow, and leave."""
        running = [each.process for each in self._processes if each.process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.shutdown()

    def _serves(self, service: str) -> bool:
        return service in (name for name, _ in self.node.get_service_names_and_types())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.tasks.update({status.name: status for status in message.status})


@pytest.fixture(autouse=True, scope='session')
def _environment() -> None:
    """Keep the tests' ROS to this machine, with room for images in shared memory."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    old = os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
    os.environ['FASTRTPS_DEFAULT_PROFILES_FILE' if old else 'FASTDDS_DEFAULT_PROFILES_FILE'] = (
        str(PROFILE))


@pytest.fixture(autouse=True, scope='session')
def _shared_memory() -> Iterator[None]:
    """Leave shared memory as it was: a process that is killed leaves its segments there."""
    before = set(os.listdir(SHARED_MEMORY))
    yield
    for name in set(os.listdir(SHARED_MEMORY)) - before:
        if 'fastdds_' in name and not _is_in_use(name):
            (SHARED_MEMORY / name).unlink(missing_ok=True)


def _is_in_use(name: str) -> bool:
    """
    Return whether a live process has a file of Fast DDS mapped, or locked.

    What is in use is locked: the lock is a file of its own beside it. Nothing is touched here.
    """
    core = name.removeprefix('sem.').removesuffix('_mutex')
    core = core.removesuffix('_el').removesuffix('_sl')
    files = [SHARED_MEMORY / f'{core}{suffix}' for suffix in ('', '_el', '_sl')]
    inodes = {str(file.stat().st_ino) for file in files if file.exists()}
    locked = {line.split()[-3].rpartition(':')[2]
              for line in Path('/proc/locks').read_text().splitlines()}
    if inodes & locked:
        return True
    for maps in Path('/proc').glob('[0-9]*/maps'):
        try:
            if f'/{core}\n' in maps.read_text():
                return True
        except OSError:  # it has ended, or is another user's
            pass
    return False


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench in a ROS domain of its own."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()
