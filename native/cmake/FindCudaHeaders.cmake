# SPDX-License-Identifier: Apache-2.0
#
# Sets CUDA_HEADER_DIRS, in which cuda_runtime.h, what it includes, and nccl.h are. They come from
#
#  - CUDA_HOME or CUDA_PATH, a CUDA toolkit, or the system's folders;
#  - the packages nvidia-*, which pip puts beside a libtorch;
#  - and, what neither has, from the package registry by pip, once, into the user's cache.
#
# nccl.h must be of the version with which the libtorch was built, since the size of its structures changes: the library
# compares the two before it uses NCCL.

set(LANCETORCH_CUDA_VERSION "" CACHE STRING "The CUDA version of the headers to fetch, such as 12.8; empty: the libtorch's")
set(LANCETORCH_NCCL_VERSION "" CACHE STRING "The NCCL version of the header to fetch; empty: the one that goes with the libtorch")

# What PyTorch's wheels of these versions ask for.
set(nccl_of_2.10 2.27.5)

# The version of CUDA that the libtorch at `home` was built with, such as 12.8.
function(lancetorch_cuda_version home result)
  set(version "${LANCETORCH_CUDA_VERSION}")
  if(NOT version AND EXISTS "${home}/version.py")  # pip's
    file(READ "${home}/version.py" text)
    if(text MATCHES "cuda[^=\n]*= *'([0-9]+\\.[0-9]+)'")
      set(version "${CMAKE_MATCH_1}")
    endif()
  endif()
  if(NOT version AND EXISTS "${home}/build-version")  # an archive's, "2.10.0+cu128"
    file(READ "${home}/build-version" text)
    if(text MATCHES "cu([0-9][0-9])([0-9]+)")
      set(version "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}")
    endif()
  endif()
  if(NOT version)
    set(version 12.8)
  endif()
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# The folders include/ of pip's `requirements`, which are unpacked in the cache; nothing else of them is kept.
function(lancetorch_fetch_headers result)
  set(dirs "")
  foreach(requirement ${ARGN})
    string(REGEX REPLACE "[^A-Za-z0-9.-]+" "-" name "${requirement}")
    string(REGEX REPLACE "[.-]+$" "" name "${name}")
    set(home "${LANCETORCH_CACHE_DIR}/cuda-headers/${name}")
    if(NOT EXISTS "${home}")
      find_program(LANCETORCH_PYTHON NAMES python3 REQUIRED)
      string(RANDOM LENGTH 8 suffix)
      set(work "${home}.tmp-${suffix}")
      file(MAKE_DIRECTORY "${work}")
      message(STATUS "Fetching the headers of ${requirement} by pip, once, into ${home}")
      set(pip "${LANCETORCH_PYTHON}" -m pip download --quiet --disable-pip-version-check --no-deps
              --only-binary=:all: --platform manylinux_2_17_x86_64 --platform manylinux_2_18_x86_64
              --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64
              --platform manylinux1_x86_64 --platform any --dest . "${requirement}")
      execute_process(COMMAND ${pip} WORKING_DIRECTORY "${work}" RESULT_VARIABLE status ERROR_VARIABLE output
                      OUTPUT_VARIABLE output)
      file(GLOB wheel "${work}/*.whl")
      if(status EQUAL 0 AND wheel)
        file(ARCHIVE_EXTRACT INPUT "${wheel}" DESTINATION "${work}" PATTERNS "*/include/*")
        file(REMOVE "${wheel}")
        file(RENAME "${work}" "${home}" RESULT renamed)
      endif()
      file(REMOVE_RECURSE "${work}")
      if(NOT EXISTS "${home}")
        list(JOIN pip " " command)
        message(FATAL_ERROR "The headers of ${requirement} could not be fetched. This command failed:\n  ${command}\n"
                            "${output}\nIt needs python3 with pip, and the network once. Without them, set CUDA_HOME to"
                            " a CUDA toolkit, and install NCCL's header (Ubuntu: libnccl-dev).")
      endif()
    endif()
    file(GLOB includes "${home}/nvidia/*/include")
    list(APPEND dirs ${includes})
  endforeach()
  set(${result} "${dirs}" PARENT_SCOPE)
endfunction()

# Of each header the folder where it is found first; those of no folder are fetched.
function(lancetorch_find_cuda_headers home result)
  lancetorch_cuda_version("${home}" cuda)
  string(REGEX REPLACE "\\..*" "" major "${cuda}")
  set(hints "")
  foreach(toolkit "$ENV{CUDA_HOME}" "$ENV{CUDA_PATH}" /usr/local/cuda-${cuda} /usr/local/cuda)
    if(toolkit)
      list(APPEND hints "${toolkit}/include" "${toolkit}/targets/x86_64-linux/include" "${toolkit}/include/cccl"
           "${toolkit}/targets/x86_64-linux/include/cccl")
    endif()
  endforeach()
  if(home)
    file(GLOB beside "${home}/../nvidia/cuda_*/include" "${home}/../nvidia/nccl/include"
         "${home}/../nvidia/cu${major}/include" "${home}/../nvidia/cu${major}/include/cccl")
    # What libtorch itself came with goes first.
    list(PREPEND hints ${beside})
  endif()
  set(dirs "")
  set(missing "")
  foreach(header_package "cuda_runtime.h cuda-runtime" "crt/host_config.h cuda-crt" "nv/target cuda-cccl" "nccl.h nccl")
    string(REPLACE " " ";" pair "${header_package}")
    list(GET pair 0 header)
    list(GET pair 1 package)
    unset(found)
    find_path(found "${header}" HINTS ${hints} NO_CACHE)
    if(found)
      list(APPEND dirs "${found}")
    elseif(package STREQUAL nccl)
      string(REGEX MATCH "^[0-9]+\\.[0-9]+" torch "${LIBTORCH_VERSION}")
      set(nccl "${LANCETORCH_NCCL_VERSION}")
      if(NOT nccl)
        set(nccl "${nccl_of_${torch}}")
      endif()
      if(nccl)
        string(PREPEND nccl "==")
      endif()
      list(APPEND missing "nvidia-nccl-cu${major}${nccl}")
    elseif(major LESS 13)
      # Before CUDA 13, crt/ was in the compiler's package.
      string(REPLACE cuda-crt cuda-nvcc package "${package}")
      list(APPEND missing "nvidia-${package}-cu${major}==${cuda}.*")
    else()
      list(APPEND missing "nvidia-${package}==${cuda}.*")
    endif()
  endforeach()
  lancetorch_fetch_headers(fetched ${missing})
  list(APPEND dirs ${fetched})
  list(REMOVE_DUPLICATES dirs)
  set(${result} "${dirs}" PARENT_SCOPE)
endfunction()

lancetorch_find_cuda_headers("${LANCETORCH_LIBTORCH}" CUDA_HEADER_DIRS)
message(STATUS "CUDA headers: ${CUDA_HEADER_DIRS}")
