/* A finite impulse response, n samples of at most 64, five taps. */
int in_buf[64], out_buf[64];
static const int TAPS[5] = {1, 4, 6, 4, 1};
__attribute__((export_name("infer"))) int infer(unsigned n) {
  for (unsigned i = 0; i < n; i++) {
    int s = 0;
    for (unsigned k = 0; k < 5 && k <= i; k++) s += TAPS[k] * in_buf[i - k];
    out_buf[i] = s >> 4;
  }
  return out_buf[0];
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
