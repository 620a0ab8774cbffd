# The CUDA backend on the CPU: .cu files as C++ behind cuda_emu.hh, and a runtime in place of NVIDIA's libraries.
file(GLOB emu_srcs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/emu/emu_*.cc)
set(RS_EMU_DEFINITIONS)
if(RS_SANITIZE MATCHES "address")
  list(APPEND RS_EMU_DEFINITIONS EMU_ASAN)
elseif(RS_SANITIZE MATCHES "thread")
  list(APPEND RS_EMU_DEFINITIONS EMU_TSAN)
endif()

# How .cu files are compiled: also those of the tests of the emulator.
function(rs_emu_kernels target)
  get_target_property(srcs ${target} SOURCES)
  list(FILTER srcs INCLUDE REGEX "\\.cu$")
  set_source_files_properties(${srcs} TARGET_DIRECTORY ${target} PROPERTIES LANGUAGE CXX
    OBJECT_DEPENDS "${CMAKE_SOURCE_DIR}/tests/emu/cuda_emu.hh")
  target_link_libraries(${target} PRIVATE rs_flags)
  target_compile_definitions(${target} PRIVATE ${RS_EMU_DEFINITIONS})
  target_compile_options(${target} PRIVATE -x c++ -include ${CMAKE_SOURCE_DIR}/tests/emu/cuda_emu.hh
    -fno-strict-aliasing -O2 -Wno-unknown-pragmas
    $<$<CXX_COMPILER_ID:GNU>:-fno-extern-tls-init>)
endfunction()

add_library(rs_cuda OBJECT ${cuda_srcs})
rs_emu_kernels(rs_cuda)

# The runtime itself is never instrumented: it switches stacks and reads the registers of other threads.
add_library(rs_emu OBJECT ${emu_srcs})
target_link_libraries(rs_emu PRIVATE rs_flags)
target_compile_definitions(rs_emu PRIVATE ${RS_EMU_DEFINITIONS})
target_compile_options(rs_emu PRIVATE -O2 -fno-strict-aliasing -fno-builtin)
if(RS_SANITIZE)
  target_compile_options(rs_emu PRIVATE -fno-sanitize=all)
endif()
list(APPEND RS_OBJECTS $<TARGET_OBJECTS:rs_cuda> $<TARGET_OBJECTS:rs_emu>)
set(CMAKE_ENABLE_EXPORTS ON) # kernel names in reports
