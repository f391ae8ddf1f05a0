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
"""The launch files under the real `launch`, with the real node and its real topics."""

import contextlib
import itertools
import os
from pathlib import Path
import runpy
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('launch_ros', reason='launch is not installed: it is not among the wheels')

from fast_sam2_ros.node import parameters  # noqa: E402,I100
from launch import LaunchContext, LaunchDescription  # noqa: E402
from launch.launch_description_sources import (  # noqa: E402
    get_launch_description_from_python_launch_file as load)
from lifecycle_msgs.srv import GetState  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
import rclpy  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import parameter_value_to_python  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

LAUNCH = Path(__file__).parents[2] / 'launch'
PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
DOMAINS = itertools.count(11 * os.getpid())
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
path, *arguments = sys.argv[1:]
# As ros2 launch without a terminal: SIGINT is passed on to the nodes.
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(path),
    launch_arguments=[argument.split(':=', 1) for argument in arguments])]))
sys.exit(service.run())
"""


class Launched:
    """A launch file that runs, and a node that looks at what it started."""

    def __init__(self, name, arguments, log, tracker='/tracker'):
        self._log, self._tracker = log, tracker
        domain = 1 + next(DOMAINS) % 100
        with log.open('wb') as stream:
            self.process = subprocess.Popen(
                [sys.executable, '-c', RUN, str(LAUNCH / name), 'sigterm_timeout:=60', *arguments],
                stdout=stream, stderr=subprocess.STDOUT,
                env=os.environ | {'ROS_DOMAIN_ID': str(domain), 'PYTHONUNBUFFERED': '1'})
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = Node('onlooker', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    @property
    def log(self):
        return self._log.read_text(errors='replace')

    def wait(self, condition, timeout, what):
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f'not within {timeout} s: {what}\n{self.log}'
            self._executor.spin_once(timeout_sec=0.05)

    def call(self, kind, name, request):
        client = self.node.create_client(kind, f'{self._tracker}/{name}')
        self.wait(client.service_is_ready, 60, f'the service {name}')
        future = client.call_async(request)
        self.wait(future.done, 60, f'an answer of {name}')
        self.node.destroy_client(client)
        return future.result()

    def state(self):
        return self.call(GetState, 'get_state', GetState.Request()).current_state.label

    def parameters(self, *names):
        values = self.call(GetParameters, 'get_parameters', GetParameters.Request(names=names))
        return [parameter_value_to_python(value) for value in values.values]

    def interrupt(self):
        """End it as Ctrl-C does; return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(100)

    def close(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.process.poll() is None:
                self.interrupt()
        self.process.kill()
        self.process.wait()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.shutdown()


@pytest.fixture
def start(tmp_path):
    """Start launch files; end them after the test."""
    running = []

    def start_one(name, *arguments, **options):
        running.append(Launched(name, arguments, tmp_path / f'log{len(running)}', **options))
        return running[-1]

    yield start_one
    for launched in running:
        launched.close()


def profile_variables(monkeypatch, **environment):
    """Return the Fast DDS variables that the tracker's launch file sets in an environment."""
    for name in (*PROFILES, 'ROS_DISTRO'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    context = LaunchContext()
    for action in runpy.run_path(str(LAUNCH / 'tracker.launch.py'))['_profile'](context):
        action.execute(context)
    return {name: context.environment[name] for name in PROFILES if name in context.environment}


@pytest.mark.parametrize('distribution, variable', [
    ('humble', PROFILES[1]), ('jazzy', PROFILES[1]), ('kilted', PROFILES[0])])
def test_fast_dds_gets_its_profile_under_the_one_name_that_it_reads(
        monkeypatch, distribution, variable):
    (name, path), = profile_variables(monkeypatch, ROS_DISTRO=distribution).items()
    assert name == variable
    assert '<segment_size>' in Path(path).read_text()


@pytest.mark.parametrize('variable', PROFILES)
def test_a_profile_of_the_user_stays(monkeypatch, variable):
    assert profile_variables(monkeypatch, **{variable: '/mine.xml'}) == {variable: '/mine.xml'}


def names(file):
    """Return the names of a launch file's arguments."""
    description = load(str(LAUNCH / file))
    assert isinstance(description, LaunchDescription)
    return {argument.name for argument in description.get_launch_arguments()}


def test_the_demo_has_the_arguments_of_the_tracker_too():
    assert names('tracker.launch.py') < names('demo.launch.py')


def test_every_parameter_is_an_argument():
    assert set(parameters.names()) | {'use_sim_time'} < names('tracker.launch.py')


def test_arguments_replace_parameters_only_where_they_are_given(start, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/robot1/tracker:\n  ros__parameters:\n'
                    '    keep_ratio: 0.8\n    lost_after: 7\n    model: embedded\n'
                    '    autostart: true\n')
    # 1 is a whole number and `no` a boolean in YAML; the arguments know better.
    launched = start('tracker.launch.py', f'params_file:={file}', 'namespace:=robot1',
                     'autostart:=false', 'keep_ratio:=1', 'target_text:=no', 'router:=',
                     'use_sim_time:=true', 'compile:=off', 'label_id:=3', 'roi:=0.5',
                     'overlay_tokens:=true', tracker='/robot1/tracker')
    assert launched.parameters(
        'keep_ratio', 'target_text', 'lost_after', 'model', 'router', 'use_sim_time',
        'autostart', 'compile', 'label_id', 'roi', 'overlay_tokens') == [
            1.0, 'no', 7, 'embedded', 'analytic', True, False, 'off', 3, 0.5, True]
    time.sleep(2)
    assert launched.state() == 'unconfigured'
    assert launched.interrupt() == 0


def test_it_brings_the_node_up_in_a_namespace_and_down(start):
    launched = start('tracker.launch.py', 'model:=embedded', 'namespace:=robot1',
                     'image:=/camera/image_raw', 'image_transport:=compressed',
                     tracker='/robot1/tracker')
    launched.wait(lambda: launched.state() == 'active', 120, 'the node is active')
    launched.wait(lambda: launched.node.count_subscribers('/camera/image_raw/compressed') == 1
                  and launched.node.count_publishers('/robot1/segmentation/mask') == 1,
                  10, 'its topics')
    assert launched.interrupt() == 0
    assert 'process has finished cleanly' in launched.log
    assert 'ERROR' not in launched.log


def test_it_opens_rviz_with_the_topics_of_its_namespace(start, tmp_path, monkeypatch):
    (tmp_path / 'share/ament_index/resource_index/packages').mkdir(parents=True)
    (tmp_path / 'share/ament_index/resource_index/packages/rviz2').touch()
    rviz = tmp_path / 'lib' / 'rviz2' / 'rviz2'
    rviz.parent.mkdir(parents=True)
    rviz.write_text('#!/bin/sh\necho "called with $*" >&2\n')
    rviz.chmod(0o755)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path}:{os.environ["AMENT_PREFIX_PATH"]}')
    launched = start('tracker.launch.py', 'autostart:=false', 'rviz:=true', 'namespace:=robot1',
                     'image:=/camera/image_raw', 'fixed_frame:=map', tracker='/robot1/tracker')
    launched.wait(lambda: 'called with' in launched.log, 30, 'RViz')
    line, = (line for line in launched.log.splitlines() if 'called with' in line)
    for words in ('config/tracker.rviz', '-f map', '__ns:=/robot1',
                  '/segmentation/overlay:=segmentation/overlay', '/target_pose:=target_pose',
                  '/image:=/camera/image_raw'):
        assert words in line


def test_two_in_namespaces_of_one_launch_file_do_not_mix(start, tmp_path):
    both = tmp_path / 'both.launch.py'
    both.write_text(f"""
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource as Source


def generate_launch_description():
    return LaunchDescription([
        GroupAction([IncludeLaunchDescription(
            Source({str(LAUNCH / 'tracker.launch.py')!r}), launch_arguments={{
                'namespace': name, 'autostart': 'false', **given}}.items())])
        for name, given in (('left', {{'keep_ratio': '0.3', 'image': '/left/image_raw'}}),
                            ('right', {{'target_text': 'cat'}}))])
""")
    launched = start(both, tracker='/left/tracker')
    assert launched.parameters('keep_ratio', 'target_text') == [0.3, '']
    launched._tracker = '/right/tracker'
    assert launched.parameters('keep_ratio', 'target_text') == [0.5, 'cat']
    assert launched.interrupt() == 0


def test_the_demo_tracks_what_its_camera_sees(start):
    launched = start('demo.launch.py', 'model:=embedded', 'rate:=5', 'target_text:=cat')
    masks = []
    launched.node.create_subscription(Image, 'segmentation/mask', masks.append, 10)
    launched.wait(lambda: any(any(mask.data) for mask in masks), 180, 'a mask of the cat')
    assert (masks[-1].encoding, masks[-1].width, masks[-1].height) == ('mono8', 640, 480)
    assert launched.interrupt() == 0


def test_a_file_of_parameters_that_is_missing_ends_the_launch(start):
    launched = start('tracker.launch.py', 'params_file:=/missing.yaml')
    assert launched.process.wait(60) != 0
    assert 'there is no file /missing.yaml' in launched.log


@pytest.mark.parametrize('argument, words', [
    ('keep_ratio:=much', 'keep_ratio: could not convert'),
    ('label_id:=1.5', 'label_id: '),
    ('overlay_tokens:=perhaps', 'overlay_tokens: '),
    ('router:=best', "router is 'best'; give analytic")])
def test_an_argument_that_is_no_value_is_named(start, argument, words):
    launched = start('tracker.launch.py', argument)
    launched.wait(lambda: words in launched.log, 60, 'the reason')
