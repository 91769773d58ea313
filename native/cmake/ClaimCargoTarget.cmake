# SPDX-License-Identifier: Apache-2.0
#
# Clones share one cargo target folder, in which a cdylib has the same file name for all of them, so that cargo would take
# another clone's library for this one's. Where another clone (SOURCE) was the last to build there, ours is out of date.

set(stamp "${TARGET_DIR}/release/.lancetorch-clone")
set(last "")
if(EXISTS "${stamp}")
  file(READ "${stamp}" last)
endif()
if(NOT last STREQUAL SOURCE)
  file(TOUCH "${SOURCE}/src/lib.rs")
  file(WRITE "${stamp}" "${SOURCE}")
endif()
