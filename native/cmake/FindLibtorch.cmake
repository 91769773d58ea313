# SPDX-License-Identifier: Apache-2.0
#
# Defines the target lancetorch::libtorch, the variables LIBTORCH_VERSION ("2.10.0"), LIBTORCH_RUNTIME_DIRS (the folders
# that a program needs on LD_LIBRARY_PATH) and LIBTORCH_CUDA (its CUDA libraries, empty where it has none), from
#
#  - LANCETORCH_LIBTORCH, where it is set: a folder with include/ and lib/, as a LibTorch archive and a pip installation
#    have them. Headers and libraries are used as they lie there: TorchConfig.cmake would ask for a CUDA toolkit where
#    libtorch was built with CUDA, and this shim needs none.
#  - else JavaCPP's presets, which have the libraries but no headers. Those come out of PyPI's smallest wheel of the
#    same version, by pip, once, into the user's cache.

# As JavaCPP names platforms.
set(machine "${CMAKE_SYSTEM_PROCESSOR}")
if(CMAKE_SYSTEM_NAME STREQUAL Linux AND machine MATCHES "^(x86_64|amd64|AMD64)$")
  set(LANCETORCH_PLATFORM linux-x86_64)
elseif(CMAKE_SYSTEM_NAME STREQUAL Linux AND machine MATCHES "^(aarch64|arm64)$")
  set(LANCETORCH_PLATFORM linux-arm64)
elseif(CMAKE_SYSTEM_NAME STREQUAL Darwin AND machine MATCHES "^(aarch64|arm64)$")
  set(LANCETORCH_PLATFORM macosx-arm64)
else()
  message(FATAL_ERROR "lancetorch is for linux-x86_64, linux-arm64 and macosx-arm64, not for ${CMAKE_SYSTEM_NAME} on "
                      "${machine}")
endif()

set(LANCETORCH_PRESETS_TORCH_VERSION 2.10.0)
set(LANCETORCH_PRESETS_PYTORCH 2.10.0-1.5.13)
set(LANCETORCH_PRESETS_OPENBLAS 0.3.31-1.5.13)

# Downloads beside the place where the headers shall lie, and renames at the end: a build that breaks off, or two builds
# at once, leave nothing half done.
function(lancetorch_fetch_torch_headers version result)
  set(home "${LANCETORCH_CACHE_DIR}/torch-headers-${version}")
  set(${result} "${home}/torch/include" PARENT_SCOPE)
  if(EXISTS "${home}/torch/include/torch/headeronly/version.h")
    return()
  endif()
  find_program(LANCETORCH_PYTHON NAMES python3 REQUIRED)
  string(RANDOM LENGTH 8 suffix)
  set(work "${home}.tmp-${suffix}")
  file(MAKE_DIRECTORY "${work}")
  message(STATUS "Fetching the headers of torch ${version} by pip (79 MB, once) into ${home}")
  set(pip "${LANCETORCH_PYTHON}" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all:
          --python-version 3.12 --implementation cp --abi cp312 --platform macosx_11_0_arm64 --dest . torch==${version})
  execute_process(COMMAND ${pip} WORKING_DIRECTORY "${work}" RESULT_VARIABLE status ERROR_VARIABLE output
                  OUTPUT_VARIABLE output)
  file(GLOB wheel "${work}/torch-${version}-*.whl")
  if(NOT status EQUAL 0 OR NOT wheel)
    file(REMOVE_RECURSE "${work}")
    list(JOIN pip " " command)
    message(FATAL_ERROR "The headers of torch ${version} could not be fetched. This command failed:\n  ${command}\n"
                        "${output}\nIt needs python3 with pip, and the network once. Without them, set "
                        "LANCETORCH_LIBTORCH to a libtorch that has its headers.")
  endif()
  execute_process(COMMAND "${CMAKE_COMMAND}" -E tar xf "${wheel}" -- torch/include WORKING_DIRECTORY "${work}"
                  RESULT_VARIABLE status ERROR_VARIABLE output)
  file(REMOVE "${wheel}")
  if(NOT status EQUAL 0 OR NOT EXISTS "${work}/torch/include/torch/headeronly/version.h")
    file(REMOVE_RECURSE "${work}")
    message(FATAL_ERROR "${wheel} could not be unpacked, or has no torch/include: ${output}")
  endif()
  file(RENAME "${work}" "${home}" RESULT status)
  if(NOT status EQUAL 0)
    file(REMOVE_RECURSE "${work}")
    if(NOT EXISTS "${home}/torch/include/torch/headeronly/version.h")
      message(FATAL_ERROR "The headers could not be put at ${home}: ${status}")
    endif()
  endif()
endfunction()

# The folders of JavaCPP's unpacked libraries: Maven names them; by hand they are found where JavaCPP unpacks (its
# cache), or are unpacked into ours from the local Maven repository.
function(lancetorch_find_presets result)
  if(LANCETORCH_PRESETS_DIR)
    set(${result} "${LANCETORCH_PRESETS_DIR}" PARENT_SCOPE)
    return()
  endif()
  if(LANCETORCH_PLATFORM STREQUAL linux-arm64)
    message(FATAL_ERROR "JavaCPP's presets have no libtorch for ${LANCETORCH_PLATFORM}: name one by "
                        "`./lancetorch build --libtorch DIR` or LANCETORCH_LIBTORCH, such as a pip installation's torch "
                        "folder, which has its headers too")
  endif()
  set(dirs "")
  foreach(name_version "pytorch;${LANCETORCH_PRESETS_PYTORCH}" "openblas;${LANCETORCH_PRESETS_OPENBLAS}")
    list(GET name_version 0 name)
    list(GET name_version 1 version)
    set(jar "${name}-${version}-${LANCETORCH_PLATFORM}.jar")
    set(inside "org/bytedeco/${name}/${LANCETORCH_PLATFORM}")
    set(javacpp "$ENV{HOME}/.javacpp/cache/${jar}/${inside}")
    set(ours "${LANCETORCH_CACHE_DIR}/presets/${name}-${version}")
    set(repository "$ENV{HOME}/.m2/repository/org/bytedeco/${name}/${version}/${jar}")
    if(EXISTS "${javacpp}")
      list(APPEND dirs "${javacpp}")
      continue()
    endif()
    if(NOT EXISTS "${ours}/${inside}")
      if(NOT EXISTS "${repository}")
        message(FATAL_ERROR "Neither LANCETORCH_LIBTORCH nor LANCETORCH_PRESETS_DIR is set, and ${repository} is not "
                            "there. `mvn dependency:get -Dartifact=org.bytedeco:${name}:${version}:jar:${LANCETORCH_PLATFORM}` "
                            "fetches it.")
      endif()
      string(RANDOM LENGTH 8 suffix)
      file(ARCHIVE_EXTRACT INPUT "${repository}" DESTINATION "${ours}.tmp-${suffix}" PATTERNS "${inside}/lib*")
      file(RENAME "${ours}.tmp-${suffix}" "${ours}")
    endif()
    list(APPEND dirs "${ours}/${inside}")
  endforeach()
  set(${result} "${dirs}" PARENT_SCOPE)
endfunction()

if(LANCETORCH_LIBTORCH)
  set(torch_include "${LANCETORCH_LIBTORCH}/include")
  set(LIBTORCH_RUNTIME_DIRS "${LANCETORCH_LIBTORCH}/lib")
else()
  lancetorch_find_presets(LIBTORCH_RUNTIME_DIRS)
  lancetorch_fetch_torch_headers(${LANCETORCH_PRESETS_TORCH_VERSION} torch_include)
endif()

set(version_header "${torch_include}/torch/headeronly/version.h")
if(NOT EXISTS "${version_header}")
  message(FATAL_ERROR "${version_header} is not there: a libtorch from 2.10 to 2.13 with its headers is needed"
                      " (LANCETORCH_LIBTORCH names the folder above include/ and lib/)")
endif()
file(READ "${version_header}" version_text)
set(LIBTORCH_VERSION "")
foreach(part MAJOR MINOR PATCH)
  if(NOT version_text MATCHES "#define TORCH_VERSION_${part} ([0-9]+)")
    message(FATAL_ERROR "${version_header} does not define TORCH_VERSION_${part}")
  endif()
  list(APPEND LIBTORCH_VERSION "${CMAKE_MATCH_1}")
endforeach()
list(JOIN LIBTORCH_VERSION "." LIBTORCH_VERSION)
if(LIBTORCH_VERSION VERSION_LESS 2.10 OR LIBTORCH_VERSION VERSION_GREATER_EQUAL 2.14)
  message(FATAL_ERROR "libtorch ${LIBTORCH_VERSION} at ${torch_include}: this shim is for 2.10 to 2.13")
endif()

find_library(LANCETORCH_TORCH_CPU torch_cpu PATHS ${LIBTORCH_RUNTIME_DIRS} NO_DEFAULT_PATH NO_CACHE REQUIRED)
find_library(LANCETORCH_TORCH torch PATHS ${LIBTORCH_RUNTIME_DIRS} NO_DEFAULT_PATH NO_CACHE REQUIRED)
find_library(LANCETORCH_C10 c10 PATHS ${LIBTORCH_RUNTIME_DIRS} NO_DEFAULT_PATH NO_CACHE REQUIRED)

set(LIBTORCH_CUDA "")
find_library(LANCETORCH_TORCH_CUDA torch_cuda PATHS ${LIBTORCH_RUNTIME_DIRS} NO_DEFAULT_PATH NO_CACHE)
find_library(LANCETORCH_C10_CUDA c10_cuda PATHS ${LIBTORCH_RUNTIME_DIRS} NO_DEFAULT_PATH NO_CACHE)
if(LANCETORCH_TORCH_CUDA AND LANCETORCH_C10_CUDA)
  set(LIBTORCH_CUDA "${LANCETORCH_TORCH_CUDA}" "${LANCETORCH_C10_CUDA}")
endif()

# libtorch's own headers include gloo's, which it does not ship.
find_path(LANCETORCH_GLOO_INCLUDE gloo/config.h HINTS "${torch_include}")
if(NOT LANCETORCH_GLOO_INCLUDE)
  message(FATAL_ERROR "gloo/config.h is not there: install the headers of Gloo (Debian and Ubuntu: libgloo-dev)")
endif()

add_library(lancetorch_libtorch INTERFACE)
add_library(lancetorch::libtorch ALIAS lancetorch_libtorch)
target_include_directories(lancetorch_libtorch SYSTEM INTERFACE "${torch_include}"
                                                                "${torch_include}/torch/csrc/api/include")
target_compile_definitions(lancetorch_libtorch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
if(APPLE)
  target_link_libraries(lancetorch_libtorch INTERFACE "${LANCETORCH_TORCH}" "${LANCETORCH_TORCH_CPU}" "${LANCETORCH_C10}")
else()
  foreach(dir ${LIBTORCH_RUNTIME_DIRS})
    target_link_options(lancetorch_libtorch INTERFACE "LINKER:-rpath-link,${dir}")
  endforeach()
  # libtorch.so has no symbol that the shim uses; it is what draws in the CUDA half where there is one.
  target_link_libraries(lancetorch_libtorch INTERFACE -Wl,--push-state,--no-as-needed "${LANCETORCH_TORCH}"
                                                      -Wl,--pop-state "${LANCETORCH_TORCH_CPU}" "${LANCETORCH_C10}")
endif()
message(STATUS "libtorch ${LIBTORCH_VERSION}: ${LIBTORCH_RUNTIME_DIRS}")
