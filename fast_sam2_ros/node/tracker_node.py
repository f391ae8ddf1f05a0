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
"""
The tracker as a lifecycle node: images and a text goal in, masks and status out.

Callbacks leave what arrives in a mailbox; one worker thread owns the model, takes the newest frame
from there and publishes the result under the header of its image. So no callback waits for a step
of the model. `configure` alone waits for the model to be loaded, `cleanup` for the current step.

Images arrive in serialized form, and only those that the worker takes are unpacked: with a camera
faster than the model most are not, and the callbacks hold the interpreter up the less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import threading
import time
import traceback
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from fast_sam2_ros.errors import DeviceMemoryError, FastSam2Error, InputError, ParameterError
from fast_sam2_ros.heap import give_back_freed_memory, HeapCare
from fast_sam2_ros.msg import TrackerStatus
from fast_sam2_ros.node import images, parameters
from fast_sam2_ros.node.camera_watch import CameraWatch
from fast_sam2_ros.node.diagnostics import Diagnostics, Health, LOOK, ModelInfo
from fast_sam2_ros.node.goals import GoalInput, readable
from fast_sam2_ros.node.machine import read_memory
from fast_sam2_ros.node.mailbox import Mailbox
from fast_sam2_ros.node.outputs import Outputs
from fast_sam2_ros.node.parameters import Settings
from fast_sam2_ros.node.qos import image_overrides, image_profile, why_silent
from fast_sam2_ros.node.worker import Worker
from fast_sam2_ros.prompt import Prompt
import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

if TYPE_CHECKING:
    from fast_sam2_ros.session import Report, Session

QUIET = 5.0
"""Seconds between two log lines of one kind that may come with every image."""
REGIONS = 10
"""How many regions may wait; the last one counts."""
LONGEST_TEXT = 1000
"""Characters of a goal; longer ones are refused."""
LONGEST_LINE = 300
"""Characters that the log gets of a change."""


def open_session(settings: Settings) -> Session:
    """Load the model that the settings name."""
    # Imported here: it takes seconds, and the node is to be there at once.
    from fast_sam2_ros import session
    return session.open_session(
        model=settings.model, preferred=settings.preferred_model, device=settings.device,
        keep_ratio=settings.keep_ratio, router=settings.router, grounder=settings.grounder,
        describer=settings.describer,
        memory_keep_ratio=_memory_keep_ratio(settings), lost_after=settings.lost_after,
        reground_period=settings.reground_period, target_latency_ms=settings.target_latency_ms,
        min_keep_ratio=settings.min_keep_ratio, max_targets=settings.max_targets,
        compile=settings.compile, dtype=settings.dtype, roi=settings.roi,
        roi_refresh=settings.roi_refresh)


class TrackerNode(LifecycleNode):
    """The node `tracker`; the README lists its topics, services and parameters."""

    def __init__(self, *, session_factory: Callable[[Settings], Session] = open_session,
                 name: str = 'tracker', **node_arguments: object) -> None:
        """
        Declare the parameters and offer the services; the model is loaded by `configure`.

        Raises ParameterError when a parameter was set to what it cannot be.
        """
        super().__init__(name, **node_arguments)
        self._session_factory = session_factory
        self._settings = parameters.declare(self)

        self._mailbox: Mailbox[bytes, Session] = Mailbox()
        self._worker: Worker[bytes, Session] | None = None
        self._outputs: Outputs | None = None
        self._goal_input: GoalInput | None = None
        self._region_input: Subscription | None = None
        self._image_input: Subscription | None = None
        # Held while a result goes out: a node that was deactivated sends nothing more.
        self._publishing = threading.Lock()
        self._active = False
        self._tracking_enabled = True

        self._active_since = 0.0
        self._camera = CameraWatch()
        self._done_time: float | None = None
        self._heap_care = HeapCare()
        self._frame_error = ''
        self._too_slow = ''
        self._status: TrackerStatus | None = None
        self._said = ''
        self._silence = ''
        self._model: ModelInfo | None = None
        self._model_error = ''

        self.create_service(Trigger, '~/reset', self._on_reset)
        self.create_service(SetBool, '~/set_enabled', self._on_set_enabled)
        task_prefix = self.get_fully_qualified_name().lstrip('/')
        self._diagnostics = Diagnostics(task_prefix)
        self._diagnostics_output = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # On a steady clock: a simulation that stands still is a camera that is gone.
        self._diagnostics_timer = self.create_timer(
            min(LOOK, self._settings.diagnostics_period), self._on_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.add_on_set_parameters_callback(self._on_parameters)

    @property
    def settings(self) -> Settings:
        """Return the parameters as they are in force."""
        return self._settings

    # Transitions. rclpy swallows what they raise, so `_attempt` logs it.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; on failure say why, and be ready for another try."""
        self._model_error = ''
        result = self._attempt('configure', self._configure)
        if result != TransitionCallbackReturn.SUCCESS:
            self._release()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take images from now on."""
        super().on_activate(state)
        result = self._attempt('activate', self._activate)
        if result != TransitionCallbackReturn.SUCCESS:
            self.on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more images and send nothing more; the target and its memory stay."""
        result = self._attempt('deactivate', self._deactivate)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model, after its current step."""
        return self._attempt('cleanup', self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything."""
        return self._attempt('shutdown', self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured."""
        return self._attempt('error handling', self._release)

    def stop(self, timeout: float) -> bool:
        """Stop the worker; return whether its current step ended within `timeout` seconds."""
        self._active = False
        return self._worker is None or self._worker.stop(timeout)

    def _attempt(self, what: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except FastSam2Error as error:
            self._complain(f'{what} failed: {error}')
        except Exception:
            self._complain(f'{what} failed:\n{traceback.format_exc()}')
        else:
            return TransitionCallbackReturn.SUCCESS
        return TransitionCallbackReturn.FAILURE

    def _complain(self, text: str) -> None:
        if self.context.ok():
            self.get_logger().error(text)

    def _configure(self) -> None:
        settings = self._settings
        self._mailbox = Mailbox()
        self._outputs = Outputs(self, lambda: self._settings)
        self._goal_input = GoalInput(self, self._post_goal)
        self._region_input = self.create_subscription(
            RegionOfInterest, 'target_roi', self._on_region, REGIONS)
        if settings.target_text:
            self._post_goal(settings.target_text)
        self._worker = Worker(lambda: self._open(settings), self._mailbox, self._handle_frame,
                              self._on_frame_error)
        try:
            while not self._worker.wait_until_open(0.1):
                if not self.context.ok():
                    raise FastSam2Error('shut down while the model was being loaded')
        except Exception as error:
            self._model_error = str(error)
            raise

    def _activate(self) -> None:
        self._active_since = time.monotonic()
        self._camera.restart()
        self._done_time = None
        self._active = True
        self._outputs.start()
        self._subscribe_to_images()

    def _deactivate(self) -> None:
        with self._publishing:
            self._active = False
            if self._outputs is not None:
                self._outputs.stop()
        if self._image_input is not None:
            self.destroy_subscription(self._image_input)
            self._image_input = None
        self._mailbox.discard()

    def _release(self) -> None:
        self._deactivate()
        if self._goal_input is not None:
            self._goal_input.destroy()
            self._goal_input = None
        if self._region_input is not None:
            self.destroy_subscription(self._region_input)
            self._region_input = None
        if self._worker is not None:
            while not self._worker.stop(0.1):
                if not self.context.ok():
                    return  # the process ends; `stop` says whether the worker did
            self._worker = None
            give_back_freed_memory()
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        self._model = self._status = None
        self._frame_error = self._said = self._too_slow = ''

    # Inputs, in the executor's thread.

    def _subscribe_to_images(self) -> None:
        compressed = self._settings.image_transport == 'compressed'
        topic = 'image/compressed' if compressed else 'image'
        self._image_input = self.create_subscription(
            _image_kind(self._settings), topic, self._on_image, image_profile(self._settings),
            qos_overriding_options=image_overrides(self, topic), raw=True)

    def _on_image(self, serialized: bytes) -> None:
        self._camera.image_arrived(time.monotonic())
        if self._active and self._tracking_enabled:
            self._mailbox.put(serialized)

    def _post_goal(self, text: str) -> None:
        if len(text) > LONGEST_TEXT:
            self.get_logger().warning(
                f'a target_text of {len(text)} characters was refused; it may have '
                f'{LONGEST_TEXT}', throttle_duration_sec=QUIET)
            return
        shown = readable(text)
        self._mailbox.post('goal', lambda session: session.set_text(shown))

    def _on_region(self, message: RegionOfInterest) -> None:
        if not (message.width and message.height):
            self.get_logger().warning('target_roi has no area, so nothing was pointed at')
            return
        x, y = float(message.x_offset), float(message.y_offset)
        prompt = Prompt(box=(x, y, x + message.width, y + message.height))
        self._mailbox.post('goal', lambda session: session.set_prompt(prompt))

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._worker is not None
        if response.success:
            self._mailbox.post('goal', lambda session: session.clear())
            response.message = 'the target and its memory are forgotten'
        else:
            response.message = 'the node is not configured'
        return response

    def _on_set_enabled(self, request: SetBool.Request,
                        response: SetBool.Response) -> SetBool.Response:
        with self._publishing:
            self._tracking_enabled = request.data
            if self._outputs is not None and not request.data:
                self._outputs.pose.forget()
        if not request.data:
            self._mailbox.discard()
        response.success = True
        response.message = 'enabled' if request.data else 'disabled: images are ignored'
        return response

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        values = {change.name: change.value for change in changes
                  if change.name in parameters.names()}
        try:
            settings = self._settings.changed(values, running=self._worker is not None)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self._outputs is not None:
            self._outputs.name_labels(settings)
        self._settings = settings
        self._diagnostics_timer.timer_period_ns = round(
            1e9 * min(LOOK, settings.diagnostics_period))
        self._mailbox.post('settings', lambda session: self._apply(settings, session))
        return SetParametersResult(successful=True)

    # The model, in the worker's thread.

    def _open(self, settings: Settings) -> Session:
        began = time.monotonic()
        may_compile = (settings.compile == 'on'
                       or settings.compile == 'auto' and settings.device != 'cpu')
        self.get_logger().info(f'loading the model {settings.model}' + (
            '; where it is compiled, this takes about a minute the first time'
            if may_compile else ''))
        session = self._session_factory(settings)
        loaded = session.loaded
        self._model = ModelInfo(
            loaded.name, loaded.source, str(loaded.model.device), loaded.fallback)
        self._look_at_code(session)
        code = 'compiled graphs' if session.tracker.compiled else 'eager code'
        self.get_logger().info(
            f'model {loaded.name} from {loaded.source} on {self._model.device}, {code}, ready '
            f'after {time.monotonic() - began:.1f} s')
        if session.fast_path:
            self.get_logger().info(f'it is not compiled: {session.fast_path}')
        if loaded.fallback is not None:
            self.get_logger().warning(f'{loaded.name} runs instead: {loaded.fallback}')
        return session

    def _handle_frame(self, session: Session, serialized: bytes) -> None:
        try:
            message, frame = self._read(serialized)
            self._outputs.pose.expect(message.header)
            report = session.process(frame, _seconds(message.header.stamp))
        except Exception as error:
            self._mailbox.finish(processed=False)
            if isinstance(error, DeviceMemoryError):
                self._look_at_code(session)
            raise
        with self._publishing:
            wanted = self._active and self._tracking_enabled and self.context.ok()
            self._mailbox.finish(processed=wanted)
            if wanted:
                self._status = self._outputs.publish(
                    message.header, frame, report, self._mailbox.counts,
                    session.tracker.compiled)
        self._frame_error = ''
        self._too_slow = '' if session.governor is None else session.governor.message
        self._done_time = time.monotonic()
        self._say(report)
        self._heap_care.attend()

    def _apply(self, settings: Settings, session: Session) -> None:
        session.keep_ratio = settings.keep_ratio
        session.memory_keep_ratio = _memory_keep_ratio(settings)
        session.target_latency_ms = settings.target_latency_ms
        session.min_keep_ratio = settings.min_keep_ratio
        session.lost_after = settings.lost_after
        session.reground_period = settings.reground_period
        self._look_at_code(session)

    def _look_at_code(self, session: Session) -> None:
        """Note what runs, where other budgets may have come into force."""
        self._model = replace(
            self._model, compiled=session.tracker.compiled, uncompiled=session.fast_path,
            shortage=session.shortage)

    def _read(self, serialized: bytes) -> tuple[Image | CompressedImage, np.ndarray]:
        try:
            message = images.receive(serialized, _image_kind(self._settings))
            frame = images.to_rgb(message)
        except InputError as error:
            self._camera.image_unreadable(str(error))
            raise
        self._camera.image_read(
            time.monotonic(), images.look(message, frame), images.seconds(message.header.stamp),
            1e-9 * self.get_clock().now().nanoseconds)
        return message, frame

    def _on_frame_error(self, error: Exception) -> None:
        if not self.context.ok():
            return
        if isinstance(error, InputError):
            self.get_logger().warning(f'image dropped: {error}', throttle_duration_sec=QUIET)
            return
        if isinstance(error, DeviceMemoryError):
            self._frame_error = str(error)
            self.get_logger().error(f'image dropped: {error}', throttle_duration_sec=QUIET)
            return
        self._frame_error = f'{type(error).__name__}: {error}'
        lines = ''.join(traceback.format_exception(error))
        self.get_logger().error(f'image dropped:\n{lines}', throttle_duration_sec=QUIET)

    def _say(self, report: Report) -> None:
        said = f'{report.state.value} {report.target_text[:80]!r}: {report.message}'[:LONGEST_LINE]
        if said != self._said and self.context.ok():
            self.get_logger().info(said)
        self._said = said

    # Diagnostics, in the executor's thread.

    def _on_diagnostics(self) -> None:
        now = time.monotonic()
        health = Health(
            active=self._active, enabled=self._tracking_enabled,
            camera_timeout=self._settings.camera_timeout, camera=self._camera.at(now),
            done_age=None if self._done_time is None else now - self._done_time,
            active_for=now - self._active_since, counts=self._mailbox.counts,
            status=self._status, frame_error=self._frame_error,
            memory=read_memory('' if self._model is None else self._model.device),
            model=self._model, model_error=self._model_error,
            must_compile=self._settings.compile == 'on', too_slow=self._too_slow,
            pose='' if self._outputs is None else self._outputs.pose.outcome)
        if health.active and health.camera_is_gone and self._image_input is not None:
            health = replace(health, silence=why_silent(self, self._image_input))
        self._say_silence(health)
        tasks = self._diagnostics.look(health, now, self._settings.diagnostics_period)
        if tasks:
            self._diagnostics_output.publish(DiagnosticArray(
                header=Header(stamp=self.get_clock().now().to_msg()), status=tasks))

    def _say_silence(self, health: Health) -> None:
        """Log why no image comes, once for each reason, and that images come again."""
        if health.silence and health.silence != self._silence:
            self.get_logger().warning(f'no image for {health.silent:.1f} s: {health.silence}')
        elif self._silence and health.active and not health.camera_is_gone:
            self.get_logger().info('images come again')
        self._silence = health.silence


def _image_kind(settings: Settings) -> type[Image] | type[CompressedImage]:
    return CompressedImage if settings.image_transport == 'compressed' else Image


def _memory_keep_ratio(settings: Settings) -> float | None:
    return None if settings.memory_keep_ratio == 0.0 else settings.memory_keep_ratio


def _seconds(stamp: Time) -> float:
    # An image without a stamp was taken now, or the session's clock would stand still.
    return images.seconds(stamp) or time.monotonic()
