# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it: moves to the repository's root, installs what is missing, configures, sets
# what mpirun needs here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build_packages=(g++ cmake ninja-build pkg-config libopenmpi-dev openmpi-bin libhdf5-openmpi-dev hdf5-tools
  libeigen3-dev libboost-program-options-dev libhwy-dev libgtest-dev nlohmann-json3-dev libssl-dev
  libfast-float-dev libxxhash-dev libcurl4-openssl-dev libpugixml-dev ca-certificates zlib1g-dev libbz2-dev liblzma-dev libzstd-dev
  zstd xz-utils bzip2 python3 python3-venv openssl valgrind)

clang_packages=(clang-14 libclang-rt-14-dev libomp-14-dev llvm-14) # what the presets tsan and fuzz need beside

say() { printf '%s\n' "$*" >&2; }

# install_packages NAME...: installs what is missing by apt; quick and silent where nothing is.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    say "This system has no apt-get: these Debian packages, or what corresponds to them, must be there: $*"
    return
  fi
  local installed missing=() name
  installed=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | tr '\n' ' ')"
  for name in "$@"; do
    case "$installed" in *" $name "*) ;; *) missing+=("$name") ;; esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      say "Missing packages, and neither root nor sudo to install them. As root: apt-get install ${missing[*]}"
      exit 1
    fi
    as_root=(sudo)
  fi
  say "Installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq </dev/null >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
}

# install_arrow: the pyarrow wheel, whose Apache Arrow C++ reads Parquet, Arrow and ORC files, where neither the system nor
# FIRESTEEL_PYTHON has one. Firesteel does without it, so that a failure is only told.
install_arrow() {
  [ ! -x build/pyarrow/bin/python ] || return 0
  [ "${FIRESTEEL_ARROW-}" != OFF ] || return 0
  if pkg-config --exists parquet 2>/dev/null || "${FIRESTEEL_PYTHON:-python3}" -c 'import pyarrow' 2>/dev/null; then return; fi
  say "Installing: pyarrow (Parquet, Arrow and ORC files), in build/pyarrow"
  mkdir -p build
  if ! { python3 -m venv build/pyarrow && build/pyarrow/bin/pip install -q 'pyarrow>=26,<27'; } </dev/null >build/pyarrow.log 2>&1; then
    rm -rf build/pyarrow
    say "pyarrow could not be installed (build/pyarrow.log): built without Parquet, Arrow and ORC"
  fi
}

# install_once NAME COMMAND...: runs the command in a new directory build/servers/NAME unless that was done. FIRESTEEL_SKIP_SERVERS=1
# leaves it, and the tests that want it, out. Where it fails the tests say so.
install_once() {
  local name="$1" place="build/servers/$1"
  shift
  if [ -e "$place" ] || [ "${FIRESTEEL_SKIP_SERVERS-}" = 1 ]; then return 0; fi
  say "Installing: $name, in $place (for tests)"
  mkdir -p build/servers
  rm -rf "$place.part"
  if "$@" "$PWD/$place.part" </dev/null >"build/servers/$name.log" 2>&1; then
    mv "$place.part" "$place"
  else
    say "$name could not be installed: build/servers/$name.log"
  fi
}

# An S3 server in Python, for stores.s3. A virtual environment may not be moved, so that it is made where it stays.
make_moto() {
  mkdir -p "$1"
  python3 -m venv "${1%.part}.venv" && "${1%.part}.venv/bin/pip" install -q --disable-pip-version-check 'moto[s3,server]>=5.1,<6'
}
# versitygw, an S3 gateway in Go; and what a NameNode and a DataNode are made of. For the tests of --full.
make_versitygw() { GOBIN="$1" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0; }
make_hdfs() { mvn -q -B -f tests/stores/hdfs_pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1"; }

# configure PRESET: only where it was not done, or the presets have changed since.
configure() {
  local directory="build/$1"
  if [ -f "$directory/build.ninja" ] && [ ! CMakePresets.json -nt "$directory/build.ninja" ] &&
    [ ! build/pyarrow -nt "$directory/build.ninja" ]; then return; fi
  local log="build/configure-$1.log"
  mkdir -p build
  if command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER="${CMAKE_CXX_COMPILER_LAUNCHER-ccache}"
    export CMAKE_C_COMPILER_LAUNCHER="${CMAKE_C_COMPILER_LAUNCHER-ccache}"
  fi
  if ! cmake --preset "$1" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
}

# build PRESET [TARGET...]
build() {
  local preset="$1" target targets=()
  shift
  for target in "$@"; do targets+=(--target "$target"); done
  configure "$preset"
  cmake --build "build/$preset" -j "$(nproc)" "${targets[@]}" >&2
}

# mpirun as root (containers), with more ranks than cores, with polite waiting, without binding a rank's
# threads to one core. What the caller has set stays.
if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_rmaps_base_oversubscribe="${OMPI_MCA_rmaps_base_oversubscribe-1}"
export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle-1}"
export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy-none}"
export OMPI_MCA_btl_vader_single_copy_mechanism="${OMPI_MCA_btl_vader_single_copy_mechanism-none}"
