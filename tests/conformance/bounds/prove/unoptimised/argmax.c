/* The place of the greatest of 20 floats. */
float in_buf[20];
__attribute__((export_name("infer"))) int infer(void) {
  int best = 0;
  for (int k = 1; k < 20; k++)
    if (in_buf[k] > in_buf[best]) best = k;
  return best;
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
