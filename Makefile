# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
#   make run     set up, build, and track two targets named in words: out/demo.mp4, track.json
#   make test    set up, build, and run every test but those of make soak
#   make soak    set up, build, and run the tests that take minutes, a quarter of an hour in all:
#                the node with its own model at camera rate, a node that leaks, twenty life cycles
#                (an hour of it: docs/RELIABILITY.md)
#   make build   set up and build;  then: source tools/env.sh
#   make lint    check the style, and what bandit finds unsafe
#   make clean   remove what the others made

SHELL := /bin/bash
ENV := source tools/env.sh
# The environment is made anew when another distribution is sourced, or none any more.
READY := .venv/ready-$(or $(ROS_DISTRO),wheels)
SOURCES := $(shell find fast_sam2_ros msg launch config tools -type f -not -name '*.pyc')

.PHONY: run test soak build lint clean

run: build
	$(ENV) && fast-sam2 demo --out out

test: build lint
	$(ENV) && pytest test  # not python -m pytest: the checkout would hide the built messages

soak: build
	$(ENV) && pytest test/soak

build: install/ready

$(READY): $(wildcard requirements/*.txt) tools/setup.sh tools/mend_wheels.py
	tools/setup.sh

install/ready: $(READY) package.xml CMakeLists.txt $(SOURCES)
	tools/build.sh

lint: $(READY)
	.venv/bin/python -m flake8 fast_sam2_ros test launch tools setup.py
	.venv/bin/python -m bandit --quiet --configfile pyproject.toml --recursive \
	  fast_sam2_ros launch tools setup.py

clean:
	rm -rf .venv build install log out
