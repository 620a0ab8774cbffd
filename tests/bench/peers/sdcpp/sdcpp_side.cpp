/* stable-diffusion.cpp as a peer of a race: its Wan transformer of any size, one forward per line
 * of the input. The protocol is torch_side.py's: "step" answers {"wall","cpu"}, "result" writes
 * DIR/sdcpp.bin (floats, channels, frames, rows, columns), "quit" answers {"peak"}.
 *
 *   sdcpp_side DIR WEIGHTS THREADS FLASH DIM HEADS FFN BLOCKS FRAMES HEIGHT WIDTH
 *
 * DIR holds sdcpp-x.bin and sdcpp-text.bin (512 x 4096), plain floats; the time is 500. WEIGHTS is
 * a safetensors file under the original names. FLASH 1: ggml's fused attention. */
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "core/ggml_extend.hpp"
#include "model/diffusion/wan.hpp"
#include "model_manager.h"

namespace
{

const std::string PREFIX = "model.diffusion_model";

struct Shape {
    int64_t dim, heads, ffn, blocks, frames, height, width;
};

/* Theirs accepts the published sizes only. */
struct Runner : public DiffusionModelRunner {
    WAN::WanConfig config;
    WAN::Wan wan;
    std::vector<float> pe_values;

    Runner(ggml_backend_t backend, const String2TensorStorage &storage, const Shape &s,
           std::shared_ptr<RunnerWeightManager> manager)
        : DiffusionModelRunner(backend, PREFIX, manager)
    {
        int head = static_cast<int>(s.dim / s.heads), side = head / 2 / 3 * 2;
        config.dim = s.dim;
        config.num_heads = s.heads;
        config.ffn_dim = s.ffn;
        config.num_layers = static_cast<int>(s.blocks);
        config.axes_dim = {head - 2 * side, side, side};
        config.axes_dim_sum = head;
        wan = WAN::Wan(config);
        wan.init(params_ctx, storage, PREFIX);
    }

    std::string get_desc() override
    {
        return "wan";
    }

    void get_param_tensors(std::map<std::string, ggml_tensor *> &tensors,
                           const std::string &prefix) override
    {
        wan.get_param_tensors(tensors, prefix);
    }

    sd::Tensor<float> compute(int, const DiffusionParams &) override
    {
        return {};
    }

    ggml_cgraph *graph(const sd::Tensor<float> &x_in, const sd::Tensor<float> &t_in,
                       const sd::Tensor<float> &text_in)
    {
        ggml_cgraph *gf = new_graph_custom(WAN::WAN_GRAPH_SIZE);
        ggml_tensor *x = make_input(x_in), *t = make_input(t_in), *text = make_input(text_in);
        pe_values =
            Rope::gen_wan_pe(static_cast<int>(x->ne[2]), static_cast<int>(x->ne[1]),
                             static_cast<int>(x->ne[0]), 1, 2, 2, 1, config.theta, config.axes_dim);
        int rows = static_cast<int>(pe_values.size() / config.axes_dim_sum / 2);
        ggml_tensor *pe =
            ggml_new_tensor_4d(compute_ctx, GGML_TYPE_F32, 2, 2, config.axes_dim_sum / 2, rows);
        set_backend_tensor_data(pe, pe_values.data());
        auto context = get_context();
        ggml_build_forward_expand(gf, wan.forward(&context, x, t, text, pe));
        return gf;
    }

    sd::Tensor<float> forward(int threads, const sd::Tensor<float> &x, const sd::Tensor<float> &t,
                              const sd::Tensor<float> &text)
    {
        auto build = [&]() -> ggml_cgraph * { return graph(x, t, text); };
        auto out = GGMLRunner::compute<float>(build, threads, false, false, false);
        GGML_ASSERT(out.has_value());
        return std::move(*out);
    }
};

std::vector<float> floats(const std::string &path, int64_t n)
{
    std::vector<float> v(static_cast<size_t>(n));
    std::ifstream f(path, std::ios::binary);
    f.read(reinterpret_cast<char *>(v.data()), static_cast<std::streamsize>(v.size() * 4));
    GGML_ASSERT(f);
    return v;
}

long long memory(const char *key)
{
    std::ifstream f("/proc/self/status");
    std::string line;
    while (std::getline(f, line))
        if (line.rfind(key, 0) == 0)
            return atoll(line.c_str() + strlen(key) + 1) * 1024;
    return 0;
}

double cpu_now()
{
    rusage r;
    getrusage(RUSAGE_SELF, &r);
    return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

double now()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

int serve(FILE *answers, long long runtime, Runner &wan, const std::string &dir, int threads,
          const Shape &s)
{
    sd::Tensor<float> x({s.width, s.height, s.frames, 16},
                        floats(dir + "/sdcpp-x.bin", s.width * s.height * s.frames * 16));
    sd::Tensor<float> text({4096, 512, 1}, floats(dir + "/sdcpp-text.bin", 4096 * 512));
    sd::Tensor<float> t({1}, {500.0f}), out;
    std::ofstream("/proc/self/clear_refs") << "5";
    fprintf(answers, "{\"runtime\": %lld, \"opened\": %lld}\n", runtime, memory("VmRSS"));
    fflush(answers);
    char line[64];
    while (fgets(line, sizeof line, stdin) && strncmp(line, "quit", 4) != 0) {
        if (strncmp(line, "step", 4) == 0) {
            double cpu = cpu_now(), wall = now();
            out = wan.forward(threads, x, t, text);
            wall = now() - wall;
            fprintf(answers, "{\"wall\": %.9g, \"cpu\": %.9g}\n", wall, cpu_now() - cpu);
        } else {
            std::ofstream f(dir + "/sdcpp.bin", std::ios::binary);
            f.write(reinterpret_cast<const char *>(out.data()),
                    static_cast<std::streamsize>(out.numel() * 4));
            fprintf(answers, "{\"done\": true}\n");
        }
        fflush(answers);
    }
    fprintf(answers, "{\"peak\": %lld}\n", memory("VmHWM"));
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 12)
        return 2;
    FILE *answers = fdopen(dup(1), "w"); /* the library writes to standard output, too */
    dup2(2, 1);
    std::string dir = argv[1];
    int threads = atoi(argv[3]);
    Shape s = {atoll(argv[5]), atoll(argv[6]),  atoll(argv[7]), atoll(argv[8]),
               atoll(argv[9]), atoll(argv[10]), atoll(argv[11])};
    ggml_backend_t backend = sd_backend_cpu_init();
    long long runtime = memory("VmRSS");
    auto manager = std::make_shared<ModelManager>();
    if (!manager->loader().init_from_file(argv[2]))
        return 1;
    Runner wan(backend, manager->loader().get_tensor_storage_map(), s, manager);
    wan.set_flash_attention_enabled(atoi(argv[4]) != 0);
    if (!manager->register_runner_params(
            "wan", wan, PREFIX, ModelManager::ResidencyMode::ParamBackend, backend, backend) ||
        !manager->validate_registered_tensors() || !manager->load_all_params_eagerly())
        return 1;
    int rc = serve(answers, runtime, wan, dir, threads, s);
    manager.reset(); /* it points into the runner */
    fclose(answers);
    return rc;
}
