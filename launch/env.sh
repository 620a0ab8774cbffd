# shellcheck shell=bash
# Environment of a run on several ranks: sourced by launch/local.sh, and through it by slurm/*.sbatch.
# A variable that is set already is left alone, so a site sets its own before.

# Containers run as root; mpirun asks to be told twice.
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# Open MPI binds a rank to one core by default, and all threads of the rank with it.
export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}
# A host that is gone, or cut off, is noticed after time + probes * intvl = 60 s (Open MPI's own: 8 minutes,
# and never without keepalive). A shorter cut heals by itself.
export OMPI_MCA_oob_tcp_keepalive_time=${OMPI_MCA_oob_tcp_keepalive_time:-30}
export OMPI_MCA_oob_tcp_keepalive_intvl=${OMPI_MCA_oob_tcp_keepalive_intvl:-10}
export OMPI_MCA_oob_tcp_keepalive_probes=${OMPI_MCA_oob_tcp_keepalive_probes:-3}
