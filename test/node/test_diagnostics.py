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
"""The rules of the four tasks, one by one, and all of them on real topics."""

from dataclasses import replace
import re
import time

from diagnostic_msgs.msg import DiagnosticStatus
from fast_sam2_ros.msg import StageLatency, TargetStatus, TrackerStatus
from fast_sam2_ros.node import machine
from fast_sam2_ros.node.camera_watch import Camera, CameraWatch
from fast_sam2_ros.node.diagnostics import Diagnostics, Health, LOOK, ModelInfo
from fast_sam2_ros.node.machine import Memory
from fast_sam2_ros.node.mailbox import Counts
import numpy as np
import pytest
from sensor_msgs.msg import Image

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE)
PERIOD = 1.0
SEEN = Camera(arrived=10, age=0.03, readable_age=0.04, look='64 x 48 rgb8', behind=0.05)
MODEL = ModelInfo('tiny', 'a folder', 'cpu', None)
WELL = Health(
    active=True, active_for=9.0, camera=SEEN, done_age=0.1, counts=Counts(8, 2), model=MODEL,
    memory=Memory(process=3 * 2**20, free=0.5, shared_free=0.9),
    status=TrackerStatus(state=TrackerStatus.TRACKING, target_text='red', score=1.5,
                         tokens_retained=100, tokens_total=400, bank_bytes=77, keep_ratio=0.25,
                         latency=StageLatency(total=20.0)))
LATER = replace(WELL, camera=replace(SEEN, arrived=40), counts=Counts(18, 22))


def camera(**changes: object) -> dict[str, Camera]:
    """Return what changes in LATER when its camera does."""
    return {'camera': replace(LATER.camera, **changes)}


def judge(health: Health, before: Health = WELL) -> dict[str, DiagnosticStatus]:
    """Return the tasks of `health`, a period after `before` was reported."""
    diagnostics = Diagnostics('tracker')
    diagnostics.look(before, 100.0, PERIOD)
    tasks = diagnostics.look(health, 101.0, PERIOD)
    return {task.name.removeprefix('tracker: '): task for task in tasks}


def values(task: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in task.values}


def lost(text: str) -> TrackerStatus:
    return TrackerStatus(targets=[TargetStatus(text=text, state=TrackerStatus.LOST),
                                  TargetStatus(text='blue', state=TrackerStatus.TRACKING)])


@pytest.mark.parametrize(('task', 'changes', 'level', 'words'), [
    ('camera', {}, OK, '30.0 images per second'),
    ('camera', {'active': False}, STALE, 'not active'),
    ('camera', camera(age=1.2), ERROR, 'no image for 1.2 s'),
    ('camera', camera(age=1.2) | {'silence': 'nobody publishes it'}, ERROR,
     'no image for 1.2 s: nobody publishes it'),
    ('camera', camera(age=1.2) | {'camera_timeout': 2.0}, OK, '30.0'),
    ('camera', camera(age=None), ERROR, 'no image for 9.0 s'),
    ('camera', camera(age=None) | {'active_for': 0.5}, OK, '30.0'),
    ('camera', camera(unreadable=1, reason='step is 3'), WARN, 'unreadable image: step is 3'),
    ('camera', camera(unreadable=9, readable_age=1.4, reason='step is 3'), ERROR,
     'no image can be read: step is 3'),
    ('camera', camera(unreadable=9, readable_age=None), ERROR, 'no image can be read'),
    ('camera', camera(unreadable=9, readable_age=None) | {'active_for': 0.3}, WARN, 'unreadable'),
    ('camera', camera(no_stamp=True, frozen=7.0, behind=1e9), WARN, 'carry no stamp'),
    ('camera', camera(frozen=1.1), WARN, 'the same stamp for 1.1 s: the camera is frozen'),
    ('camera', camera(frozen=0.9), OK, '30.0'),
    ('camera', camera(behind=2.1), WARN, "2.1 s behind the node's clock: synchronise"),
    ('camera', camera(behind=-3600.0), WARN, '3600.0 s ahead of .* use_sim_time'),
    ('camera', camera(behind=-1.9), OK, '30.0'),
    ('tracker', {}, OK, 'tracking'),
    ('tracker', {'active': False, 'frame_error': 'wrong'}, STALE, 'not active'),
    ('tracker', {'frame_error': 'RuntimeError: it broke'}, ERROR, 'RuntimeError: it broke'),
    ('tracker', {'enabled': False}, OK, 'disabled'),
    ('tracker', camera(age=1.2), STALE, 'no image comes'),
    ('tracker', {'done_age': 1.5}, WARN, 'no image was done for 1.5 s'),
    ('tracker', {'done_age': None}, WARN, 'no image was done for 9.0 s'),
    ('tracker', {'done_age': None, 'active_for': 0.5, 'status': None}, OK, 'first image'),
    ('tracker', {'status': lost('red')}, WARN, 'lost: red$'),
    ('tracker', {'status': lost('')}, WARN, 'lost$'),
    ('tracker', {'too_slow': '30 ms is less than a step takes'}, WARN, '30 ms is less'),
    ('memory', {}, OK, 'enough'),
    ('memory', {'model': None}, STALE, 'not configured'),
    ('memory', {'memory': Memory(free=0.04)}, WARN, "4% of the machine's memory is free"),
    ('memory', {'memory': Memory(shared_free=0.04)}, WARN, '4% of /dev/shm is free: images'),
    ('memory', {'memory': Memory(free=0.05, shared_free=0.05)}, OK, 'enough'),
    ('memory', {'model': replace(MODEL, shortage='no memory for 0.5')}, WARN, 'no memory for'),
    ('model', {}, OK, 'tiny'),
    ('model', {'model': None}, STALE, 'not configured'),
    ('model', {'model': None, 'model_error': 'no such file'}, ERROR, 'no such file'),
    ('model', {'model': replace(MODEL, fallback='not fetched')}, WARN, 'tiny runs instead: not'),
    ('model', {'model': replace(MODEL, uncompiled='no compiler')}, OK, 'tiny'),
    ('model', {'model': replace(MODEL, uncompiled='no compiler'), 'must_compile': True}, WARN,
     'not compiled: no compiler'),
])
def test_a_rule(task, changes, level, words):
    judged = judge(replace(LATER, **changes))[task]
    assert judged.level == level, judged.message
    assert re.search(words, judged.message), judged.message


def test_the_values_tell_what_the_levels_are_made_of():
    tasks = judge(replace(LATER, memory=replace(WELL.memory, device=5 * 2**20)))
    shown = values(tasks['camera'])
    assert shown['rate [Hz]'] == '30.00' and shown['image'] == '64 x 48 rgb8'
    assert shown['age of the last image [s]'] == '0.03'
    assert shown['stamp behind the clock [s]'] == '0.050'
    shown = values(tasks['tracker'])
    assert shown['rate [Hz]'] == '10.00' and shown['dropped lately [%]'] == '67'
    assert (shown['received'], shown['processed'], shown['dropped']) == ('40', '18', '22')
    assert shown['state'] == 'tracking' and shown['tokens'] == '100 of 400'
    assert values(tasks['memory']) == {
        'process [MiB]': '3', 'free [%]': '50', '/dev/shm free [%]': '90', 'device [MiB]': '5',
        'memory bank [bytes]': '77'}
    assert values(tasks['model'])['name'] == 'tiny'
    assert tasks['model'].hardware_id == 'cpu'
    never = judge(Health())
    assert values(never['camera'])['age of the last image [s]'] == 'never'


def test_reports_come_in_their_period_and_at_once_when_a_level_or_its_reason_changes():
    diagnostics = Diagnostics('tracker')
    gone, longer = (replace(WELL, camera=replace(SEEN, age=age)) for age in (1.1, 1.3))
    known = replace(longer, silence='nobody publishes it')
    looks = [(WELL, 4), (WELL, 0), (gone, 4), (longer, 0), (known, 4), (known, 0), (known, 0),
             (known, 0), (known, 0), (known, 4), (WELL, 4)]
    for number, (health, count) in enumerate(looks):
        assert len(diagnostics.look(health, number * LOOK, PERIOD)) == count, number


def test_rates_are_those_of_the_last_period_however_often_it_is_looked():
    diagnostics = Diagnostics('tracker')
    health = WELL
    for number in range(50):  # 20 images per second for 5 s, then none for 1 s
        arrived = 4 * min(number, 25)
        half = Counts(arrived // 2, arrived // 2)
        health = replace(WELL, **camera(arrived=arrived), counts=half)
        tasks = diagnostics.look(health, number * LOOK, LOOK)
        if number in (5, 25, 49):
            rate = float(values(tasks[0])['rate [Hz]'])
            assert rate == pytest.approx(20.0 if number < 49 else 0.0)
            assert float(values(tasks[1])['rate [Hz]']) == pytest.approx(rate / 2)


def test_counts_that_begin_anew_make_no_negative_rate():
    tasks = judge(replace(LATER, counts=Counts(1, 1)))
    assert values(tasks['tracker'])['rate [Hz]'] == '0.00'


def test_a_watch_tells_ages_and_a_stamp_that_stays():
    watch = CameraWatch()
    assert watch.at(5.0) == Camera()
    for now, stamp in ((10.0, 99.5), (10.5, 100.0), (11.0, 100.0), (12.0, 100.0)):
        watch.image_arrived(now - 0.1)
        watch.image_read(now, '64 x 48 rgb8', stamp, 100.25)
    watch.image_arrived(12.5)
    watch.image_unreadable('step is 3')
    assert watch.at(13.0) == Camera(
        arrived=5, age=0.5, readable_age=1.0, unreadable=1, reason='step is 3',
        look='64 x 48 rgb8', behind=0.25, frozen=1.5)
    watch.image_read(13.0, '64 x 48 rgb8', 0.0, 100.25)
    assert watch.at(13.0).no_stamp and watch.at(13.0).frozen == 0.0
    watch.restart()
    assert watch.at(14.0) == Camera(arrived=5, unreadable=1, reason='step is 3')


def test_memory_is_what_the_machine_says():
    held = np.ones(40 * 2**20, np.uint8)
    memory = machine.read_memory('cpu')
    assert held.nbytes < memory.process < 64 * 2**30
    assert 0.0 < memory.free < 1.0 and 0.0 <= memory.shared_free <= 1.0
    assert memory.device is None


def test_a_machine_without_shared_memory_is_not_short_of_it(monkeypatch):
    monkeypatch.setattr(machine, 'SHARED', '/no/such/folder')
    assert machine.read_memory('cpu').shared_free == 1.0


def live(bench, pixels: np.ndarray | None = None, behind: float = 0.0) -> Image:
    """Return an image that was taken now, or `behind` seconds ago."""
    message = bench.image(bench.picture() if pixels is None else pixels)
    stamp = time.time() - behind
    message.header.stamp.sec = int(stamp)
    message.header.stamp.nanosec = int(1e9 * (stamp % 1.0))
    return message


def test_the_four_tasks_on_real_topics_with_default_parameters(bench):
    process = bench.start()
    names = {'tracker: camera', 'tracker: tracker', 'tracker: memory', 'tracker: model'}
    bench.wait(lambda: names <= set(bench.tasks), 5, 'the four tasks')
    assert {bench.level(name) for name in names} == {STALE}
    bench.bring_up()
    images = bench.node.create_publisher(Image, 'image', 1)
    bench.wait(lambda: images.get_subscription_count() == 1, 5, 'our camera is heard')
    bench.ask('red')

    def see(task: str, level: bytes, words: str, timeout: float = 3.0, **image: object) -> None:
        def seen() -> bool:
            images.publish(live(bench, **image))
            bench.spin(0.05)
            return (bench.level(f'tracker: {task}') == level
                    and words in bench.tasks[f'tracker: {task}'].message)
        bench.wait(seen, timeout, f'{task} says {words}')

    see('camera', OK, 'images per second')
    see('tracker', OK, 'tracking')
    assert values(bench.tasks['tracker: camera'])['image'] == '64 x 48 rgb8'
    assert bench.level('tracker: memory') == OK
    memory = values(bench.tasks['tracker: memory'])
    assert memory['memory bank [bytes]'] == '12345' and int(memory['process [MiB]']) > 10
    # The model `auto` is a fallback here, and that stays said.
    assert bench.level('tracker: model') == WARN
    assert 'not fetched' in bench.tasks['tracker: model'].message
    assert process.log.count('not fetched') == 1

    see('camera', WARN, '30.0 s behind', behind=30.0)
    see('camera', WARN, '5.0 s ahead', behind=-5.0)
    see('camera', OK, 'images per second')
    bench.send(step=1)
    bench.wait(lambda: bench.level('tracker: camera') == WARN, 1, 'unreadable')
    assert 'step is 1' in bench.tasks['tracker: camera'].message
    see('tracker', WARN, 'lost: red', pixels=np.full((30, 50, 3), 100, np.uint8))
    see('tracker', OK, 'tracking')

    frozen = live(bench)
    bench.wait(lambda: (images.publish(frozen), bench.spin(0.1),
                        'frozen' in bench.tasks['tracker: camera'].message)[-1], 3, 'frozen')
    assert bench.level('tracker: camera') == WARN
    see('camera', OK, 'images per second')

    bench.spin(0.2)
    images.publish(live(bench))
    gone, count = time.monotonic(), len(bench.masks) + 1
    bench.wait(lambda: bench.level('tracker: camera') == ERROR, 3, 'the camera is gone')
    assert 1.0 < time.monotonic() - gone < 2.0
    assert '2 publisher(s) of /image send nothing' in bench.tasks['tracker: camera'].message
    assert bench.level('tracker: tracker') == STALE
    bench.spin(1.0)
    assert len(bench.masks) == len(bench.statuses) == count  # nothing old comes again
    see('camera', OK, 'images per second')
    see('tracker', OK, 'tracking')
