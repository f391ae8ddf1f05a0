# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Token pruning: cues, the router that ranks tokens, the budget, attention over what is kept."""
