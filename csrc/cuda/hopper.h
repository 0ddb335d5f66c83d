// The instructions of Hopper (sm_90a) that CUDA C++ has no name for: clusters, mbarriers, TMA, wgmma, register pools.
// tests/kernels/hopper_on_cpu.h has them for fibers of a CPU. Addresses are 32-bit ones of shared memory.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "wgmma.h"

namespace isobit_cuda {

using TensorMap = CUtensorMap;

__device__ inline uint8_t *shared_memory() {
    extern __shared__ uint8_t shared[];
    return shared;
}

__device__ inline uint32_t address_of(const void *shared) { return (uint32_t)__cvta_generic_to_shared(shared); }

__device__ inline uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

__device__ inline void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}

// Waits for the 128 threads of a warp group.
__device__ inline void group_sync(int group) { asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory"); }

__device__ inline void barrier_init(uint32_t barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// What this thread initialised, TMA and the cluster's other blocks may use after the next sync.
__device__ inline void publish_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory");
}

// Arrives, and lets the phase wait for that many bytes besides.
__device__ inline void barrier_expect(uint32_t barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Arrives at the barrier that lies at this address in the cluster's block `rank`. What it orders is what wgmma has read
// and TMA will write, neither of which a fence over the cluster would order, but would cost one a stage.
__device__ inline void barrier_arrive(uint32_t barrier, uint32_t rank) {
    uint32_t there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(barrier), "r"(rank));
    asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(there) : "memory");
}

// Waits until the phase of this parity is over.
__device__ inline void barrier_wait(uint32_t barrier, uint32_t parity) {
    asm volatile(
        "{\n.reg .pred over;\n"
        "again:\nmbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
        "@!over bra again;\n}" ::"r"(barrier),
        "r"(parity)
        : "memory");
}

// Starts to copy a box of a tensor, whose bytes count as arrived at the barrier once they are there.
__device__ inline void load_box(uint32_t to, const TensorMap *map, uint32_t barrier, int x, int y, int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::
            "r"(to),
        "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z)
        : "memory");
}

// The same into every block of the cluster whose bit is set, at the same addresses there, barrier and all.
__device__ inline void load_box(uint32_t to, const TensorMap *map, uint32_t barrier, int x, int y, int z,
                                uint16_t blocks) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(to),
        "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "h"(blocks)
        : "memory");
}

// A warp group's registers beyond N a thread go to the block's pool, or come from it.
template <int N>
__device__ inline void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N>
__device__ inline void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

// The driver's function that describes a tensor to TMA, or null; nothing is linked against libcuda.
inline decltype(&cuTensorMapEncodeTiled) tensor_map_encoder() {
    void *found = nullptr;
    cudaDriverEntryPointQueryResult result;
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
    if (error != cudaSuccess || result != cudaDriverEntryPointSuccess) return nullptr;
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(found);
}

// Starts a kernel with as many blocks as the GPU runs at once, at most `units` clusters. The error's name, or null.
template <class Kernel, class... Arguments>
const char *start(Kernel kernel, int units, int cluster, int threads, int shared, void *stream,
                  const Arguments &...arguments) {
    int device = 0, processors = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
    if (error == cudaSuccess) error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
    if (error != cudaSuccess) return cudaGetErrorName(error);
    const int at_once = processors / cluster, clusters = units < at_once ? units : at_once;
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = (unsigned)cluster;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3((unsigned)(clusters * cluster));
    config.blockDim = dim3((unsigned)threads);
    config.dynamicSmemBytes = (size_t)shared;
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = 1;
    error = cudaLaunchKernelEx(&config, kernel, arguments...);
    return error == cudaSuccess ? nullptr : cudaGetErrorName(error);
}

}  // namespace isobit_cuda
