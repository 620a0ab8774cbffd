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
    COMPILE_OPTIONS -Wno-extra # nvcc has the word on kernels
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
target_link_libraries(rs_emu PRIVATE MPI::MPI_C)
target_compile_options(rs_emu PRIVATE -O2 -fno-strict-aliasing -fno-builtin)
if(RS_SANITIZE) # by file: these come last
  set_source_files_properties(${emu_srcs} PROPERTIES COMPILE_OPTIONS "-fno-sanitize=all")
endif()
list(APPEND RS_OBJECTS $<TARGET_OBJECTS:rs_cuda> $<TARGET_OBJECTS:rs_emu>)

# The op cases need a part of the library only: what the sanitizer builds have to compile.
add_library(rs_emu_ops STATIC $<TARGET_OBJECTS:rs_base> $<TARGET_OBJECTS:rs_kernels>
  $<TARGET_OBJECTS:rs_opcases> $<TARGET_OBJECTS:rs_device> $<TARGET_OBJECTS:rs_cuda> $<TARGET_OBJECTS:rs_emu>)
set_target_properties(rs_emu_ops PROPERTIES LINKER_LANGUAGE CXX)
target_link_libraries(rs_emu_ops PUBLIC rs_flags $<LINK_ONLY:MPI::MPI_C> Threads::Threads m)
