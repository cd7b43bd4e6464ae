/* Six steps of a recurrent cell whose state lies in the frame. */
float in_buf[6 * 4], out_buf[4];
static const float W[4][8] = {{1, 2}, {3}, {4}, {5}};
static float squash(float x) { return x > 1 ? 1 : x < -1 ? -1 : x; }
static void step(float *state, const float *x) {
  float next[4];
  for (int j = 0; j < 4; j++) {
    float s = 0;
    for (int i = 0; i < 4; i++) s += W[j][i] * x[i];
    for (int i = 0; i < 4; i++) s += W[j][4 + i] * state[i];
    next[j] = squash(s);
  }
  for (int j = 0; j < 4; j++) state[j] = next[j];
}
__attribute__((export_name("infer"))) int infer(void) {
  float state[4];
  for (int j = 0; j < 4; j++) state[j] = 0;
  for (int t = 0; t < 6; t++) step(state, &in_buf[t * 4]);
  for (int j = 0; j < 4; j++) out_buf[j] = state[j];
  return 0;
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
