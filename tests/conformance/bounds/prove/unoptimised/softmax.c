/* Softmax of ten floats, powers by a series. */
float in_buf[10], out_buf[10];
static float power(float x) {
  float term = 1, sum = 1;
  for (int k = 1; k < 8; k++) { term = term * x / (float)k; sum += term; }
  return sum;
}
__attribute__((export_name("infer"))) int infer(void) {
  float total = 0, m = in_buf[0];
  for (int k = 1; k < 10; k++) if (in_buf[k] > m) m = in_buf[k];
  for (int k = 0; k < 10; k++) { out_buf[k] = power(in_buf[k] - m); total += out_buf[k]; }
  for (int k = 0; k < 10; k++) out_buf[k] /= total;
  return 0;
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
