# `find_package(longwave)` and pkg-config after `cmake --install`; relocatable.
include(CMakePackageConfigHelpers)

set(LONGWAVE_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/longwave)
# A component each, so that nobody has to have what only the others stand on.
foreach(component runtime c train)
  if(TARGET longwave_${component})
    install(TARGETS longwave_${component} EXPORT longwave-${component}-targets
      ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT longwave-${component}-targets NAMESPACE longwave::
      DESTINATION ${LONGWAVE_CMAKE_DIR})
  endif()
endforeach()
install(TARGETS longwave_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET longwave-train)
  install(TARGETS longwave-train RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(private_headers PATTERN "*-inl.h" EXCLUDE PATTERN "testing" EXCLUDE PATTERN "cli" EXCLUDE)
set(torch_headers PATTERN "*_torch.h" EXCLUDE PATTERN "train" EXCLUDE)
if(TARGET longwave_train)
  set(torch_headers "")
endif()
install(DIRECTORY longwave DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" ${private_headers} ${torch_headers})

configure_package_config_file(cmake/longwaveConfig.cmake.in
  ${PROJECT_BINARY_DIR}/longwaveConfig.cmake INSTALL_DESTINATION ${LONGWAVE_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/longwaveConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/longwaveConfig.cmake
  ${PROJECT_BINARY_DIR}/longwaveConfigVersion.cmake DESTINATION ${LONGWAVE_CMAKE_DIR})

file(RELATIVE_PATH LONGWAVE_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
set(LONGWAVE_PC_CUDA "")
if(LONGWAVE_HAVE_CUDA)
  set(LONGWAVE_PC_CUDA " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lpthread -ldl -lrt")
endif()
foreach(package longwave longwave_c)
  configure_file(cmake/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${package}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
