# SPDX-License-Identifier: Apache-2.0
#
# The target lance: cargo builds native/lance, and the library is copied to build/native/lib. Clones share one cargo
# target folder, because Lance with all it depends on takes about half an hour to compile on two cores.

find_program(LANCETORCH_CARGO cargo HINTS "$ENV{HOME}/.cargo/bin")
if(NOT LANCETORCH_CARGO)
  message(FATAL_ERROR "cargo is not there (rustup.rs). -DLANCETORCH_BUILD_LANCE=OFF leaves the Lance shim out.")
endif()
if(DEFINED ENV{CARGO_TARGET_DIR} AND NOT "$ENV{CARGO_TARGET_DIR}" STREQUAL "")
  set(cargo_target_dir "$ENV{CARGO_TARGET_DIR}")
else()
  set(cargo_target_dir "${LANCETORCH_CACHE_DIR}/cargo")
endif()
set(lance_file "liblancetorch_lance${CMAKE_SHARED_LIBRARY_SUFFIX}")
set(built "${cargo_target_dir}/release/${lance_file}")

if(NOT EXISTS "${built}")
  message(STATUS "Lance has not been compiled into ${cargo_target_dir} yet: that takes about half an hour, once")
endif()

# cargo itself knows what is out of date.
add_custom_target(
  lance ALL
  COMMAND "${CMAKE_COMMAND}" "-DTARGET_DIR=${cargo_target_dir}" "-DSOURCE=${CMAKE_SOURCE_DIR}/native/lance" -P
          "${CMAKE_SOURCE_DIR}/native/cmake/ClaimCargoTarget.cmake"
  COMMAND "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${cargo_target_dir}" "${LANCETORCH_CARGO}" build --release
          --locked
  COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${built}" "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/${lance_file}"
  BYPRODUCTS "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/${lance_file}"
  WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}/native/lance"
  COMMENT "cargo builds the shim over Lance"
  USES_TERMINAL VERBATIM)

# The bare limits that the benchmarks show beside our figures: not built by default, `cmake --build .. --target limits`.
add_custom_target(
  limits
  COMMAND "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${cargo_target_dir}" "${LANCETORCH_CARGO}" build --release
          --locked --example limits
  COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
  COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${cargo_target_dir}/release/examples/limits"
          "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/limits"
  BYPRODUCTS "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/limits"
  WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}/native/lance"
  COMMENT "cargo builds the bare limits"
  USES_TERMINAL VERBATIM)

add_library(lancetorch_lance SHARED IMPORTED GLOBAL)
set_target_properties(
  lancetorch_lance PROPERTIES IMPORTED_LOCATION "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/${lance_file}"
                              IMPORTED_NO_SONAME ON)
add_dependencies(lancetorch_lance lance)
