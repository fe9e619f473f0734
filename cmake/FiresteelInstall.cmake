# SPDX-License-Identifier: Apache-2.0
# The installed package: find_package(firesteel CONFIG) → firesteel::firesteel.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS firesteel_core firesteel_linalg firesteel_io firesteel_algorithms firesteel_all
        EXPORT firesteelTargets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(TARGET firesteel)
  install(TARGETS firesteel RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

if(TARGET firesteel_arrow_module)
  install(TARGETS firesteel_arrow_module LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/${FIRESTEEL_ARROW_MODULE_DIRECTORY}")
endif()

# Headers keep their folders. Kernels ("-inl.h", "-inl.hpp") are compiled once a target and stay private.
foreach(folder IN ITEMS core linalg io algorithms)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/firesteel"
          FILES_MATCHING PATTERN "*.hpp" PATTERN "*-inl.hpp" EXCLUDE)
endforeach()
install(FILES "${PROJECT_BINARY_DIR}/generated/firesteel/firesteel.hpp"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/firesteel")

set(FIRESTEEL_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/firesteel")
install(EXPORT firesteelTargets NAMESPACE firesteel:: DESTINATION "${FIRESTEEL_PACKAGE_DIR}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/firesteelConfig.cmake.in"
                              "${PROJECT_BINARY_DIR}/firesteelConfig.cmake"
                              INSTALL_DESTINATION "${FIRESTEEL_PACKAGE_DIR}")
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/firesteelConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/firesteelConfig.cmake" "${PROJECT_BINARY_DIR}/firesteelConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FiresteelHdf5.cmake" "${PROJECT_SOURCE_DIR}/cmake/FiresteelCompression.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FiresteelStores.cmake"
        DESTINATION "${FIRESTEEL_PACKAGE_DIR}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/firesteel")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs/" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
