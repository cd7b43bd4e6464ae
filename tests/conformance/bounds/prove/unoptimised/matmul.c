/* 8x8 floats: out = in * w. */
#define N 8
float in_buf[N * N], w[N * N], out_buf[N * N];
__attribute__((export_name("infer"))) int infer(void) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      float s = 0;
      for (int k = 0; k < N; k++) s += in_buf[i * N + k] * w[k * N + j];
      out_buf[i * N + j] = s;
    }
  return 0;
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
