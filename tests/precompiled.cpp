// SPDX-License-Identifier: Apache-2.0
// Nothing: the target that holds the headers precompiled for the tests wants a source.
