# SPDX-License-Identifier: Apache-2.0
# What nearly every source includes, parsed once a target: a build from nothing takes a fifth less (docs/decisions/0041). Sources
# include what they use all the same: a build through a compiler cache, which is better off without, shows what one forgot.
set(FIRESTEEL_PRECOMPILED_DEFAULT ON)
if(CMAKE_CXX_COMPILER_LAUNCHER)
  set(FIRESTEEL_PRECOMPILED_DEFAULT OFF)
endif()
option(FIRESTEEL_PRECOMPILE_HEADERS "Precompile the standard library's headers" ${FIRESTEEL_PRECOMPILED_DEFAULT})

set(FIRESTEEL_PRECOMPILED_HEADERS
    algorithm array atomic charconv chrono cmath cstdint cstring functional limits map memory
    mutex optional set span sstream string string_view system_error thread tuple unordered_map utility variant
    vector)
list(TRANSFORM FIRESTEEL_PRECOMPILED_HEADERS REPLACE "(.+)" "<\\1>")

# firesteel_precompile(TARGET [<header>...]): the standard headers, and those named.
function(firesteel_precompile target)
  if(FIRESTEEL_PRECOMPILE_HEADERS)
    # GCC 12's false alarms on "text" + std::string (bug 105651) are silent in a system header, which precompiled it is not.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow;-Wno-array-bounds>)
    target_precompile_headers(${target} PRIVATE ${FIRESTEEL_PRECOMPILED_HEADERS} ${ARGN})
  endif()
endfunction()

# firesteel_share_precompiled(TARGET OTHER): the headers that OTHER has precompiled; both want the same options.
function(firesteel_share_precompiled target other)
  if(FIRESTEEL_PRECOMPILE_HEADERS)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow;-Wno-array-bounds>)
    target_precompile_headers(${target} REUSE_FROM ${other})
  endif()
endfunction()
