# Sourced by the other scripts: environment that reshoot runs under, each with its reason.

# Threads are reshoot's own; a BLAS that starts its own would oversubscribe the cores.
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
# Containers and CI run as root; Open MPI refuses that unless told twice.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
