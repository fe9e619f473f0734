# SPDX-License-Identifier: Apache-2.0
# The installed package: find_package(firesteel CONFIG) → firesteel::firesteel.
