# Tests of the emulated build. Everything here is labelled emu.
function(rs_emu_program name)
  add_executable(${name} ${ARGN})
  rs_emu_kernels(${name})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(${name} PRIVATE rs)
endfunction()
function(rs_emu_test name)
  add_test(NAME emu.${name} COMMAND ${ARGN})
  set_tests_properties(emu.${name} PROPERTIES LABELS emu TIMEOUT 300 SKIP_RETURN_CODE 77
    ENVIRONMENT "${RS_TEST_ENV};RS_BACKEND=cuda;OPENBLAS_NUM_THREADS=1")
endfunction()

rs_emu_program(emu_runtime ${CMAKE_CURRENT_LIST_DIR}/test_runtime.cu)
rs_emu_program(emu_ptx ${CMAKE_CURRENT_LIST_DIR}/test_ptx.cu)
rs_emu_program(emu_bugs ${CMAKE_CURRENT_LIST_DIR}/bugs.cu)
foreach(order rr rev rand)
  rs_emu_test(runtime_${order} ${CMAKE_COMMAND} -E env EMU_ORDER=${order} $<TARGET_FILE:emu_runtime>)
  rs_emu_test(ptx_${order} ${CMAKE_COMMAND} -E env EMU_ORDER=${order} $<TARGET_FILE:emu_ptx>)
endforeach()
rs_emu_test(bugs bash ${CMAKE_CURRENT_LIST_DIR}/test_bugs.sh ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}
  ${RS_SANITIZE})
# Each op's cases on three devices whose blocks and threads run in different orders.
rs_emu_test(ops op_ops)
